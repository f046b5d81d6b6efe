/* Full-batch gradient descent on XOR with a 2-2-1 sigmoid net, written by hand: what a compiler is measured against.

   Parameters are w1 (2, 2), b1 (2), w2 (2, 1), b2 (1): nine numbers in this order. */

#include <stdint.h>

/* Vectors of floats and ints, and on them exp, 1 / (1 + exp(-x)), |x|, and log(1 + e) for 0 <= e <= 1. */
#define LANES(V, I, N, NAME)                                                                             \
    typedef float V __attribute__((vector_size(4 * N)));                                                 \
    typedef int32_t I __attribute__((vector_size(4 * N)));                                               \
    static inline V NAME##_exp(V x) {                                                                    \
        V n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;                                             \
        V r = x - n * 0.693359375f + n * 2.12194440e-4f;                                                 \
        V p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r                   \
              + 4.1665795894e-2f) * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;                        \
        return (p * r * r + r + 1.0f) * (V)((__builtin_convertvector(n, I) + 127) << 23);                \
    }                                                                                                    \
    static inline V NAME##_sigmoid(V x) { return 1.0f / (1.0f + NAME##_exp(-x)); }                       \
    static inline V NAME##_abs(V x) { return (V)((I)x & 0x7fffffff); }                                   \
    static inline V NAME##_log1p(V e) {                                                                  \
        V s = e / (2.0f + e), q = s * s;                                                                 \
        V p = ((((q / 13 + 1.f / 11) * q + 1.f / 9) * q + 1.f / 7) * q + 0.2f) * q + 1.f / 3;            \
        return 2.0f * s * (p * q + 1.0f);                                                                \
    }                                                                                                    \
    /* The loss of a logit z against a target y, and its derivative by z. */                             \
    static inline V NAME##_loss(V z, V y, V *slope) {                                                    \
        V e = NAME##_exp(-NAME##_abs(z)), r = 1.0f / (1.0f + e);                                         \
        I negative = z < 0;                                                                              \
        *slope = (V)(((I)r & ~negative) | ((I)(e * r) & negative)) - y;                                  \
        return 0.5f * (z + NAME##_abs(z)) - z * y + NAME##_log1p(e);                                     \
    }

LANES(v4, i4, 4, four)
LANES(v8, i8, 8, eight)
LANES(v16, i16, 16, sixteen)

static const float X1[4] = {0, 0, 1, 1}, X2[4] = {0, 1, 0, 1}, Y[4] = {0, 1, 1, 0};

static inline float sum(v4 x) { return (x[0] + x[1]) + (x[2] + x[3]); }

/* One net: the four points are the lanes, of both hidden units together. */
void train_one(float *p, float *losses, long steps) {
    const v8 x1 = {0, 0, 1, 1, 0, 0, 1, 1}, x2 = {0, 1, 0, 1, 0, 1, 0, 1};
    const v4 y = {0, 1, 1, 0};
    for (long step = 0; step < steps; step++) {
        v8 w1 = {p[0], p[0], p[0], p[0], p[1], p[1], p[1], p[1]}, w2 = {p[2], p[2], p[2], p[2], p[3], p[3], p[3], p[3]};
        v8 b = {p[4], p[4], p[4], p[4], p[5], p[5], p[5], p[5]}, u = {p[6], p[6], p[6], p[6], p[7], p[7], p[7], p[7]};
        v8 h = eight_sigmoid(x1 * w1 + x2 * w2 + b), t = h * u;
        v4 z = __builtin_shufflevector(t, t, 0, 1, 2, 3) + __builtin_shufflevector(t, t, 4, 5, 6, 7) + p[8], d;
        v4 loss = four_loss(z, y, &d);
        d *= 0.25f;
        v8 dd = __builtin_shufflevector(d, d, 0, 1, 2, 3, 0, 1, 2, 3), a = dd * u * h * (1.0f - h), k = dd * h;
        losses[step] = 0.25f * sum(loss);
        p[0] -= a[2] + a[3], p[1] -= a[6] + a[7], p[2] -= a[1] + a[3], p[3] -= a[5] + a[7];
        p[4] -= (a[0] + a[1]) + (a[2] + a[3]), p[5] -= (a[4] + a[5]) + (a[6] + a[7]);
        p[6] -= (k[0] + k[1]) + (k[2] + k[3]), p[7] -= (k[4] + k[5]) + (k[6] + k[7]), p[8] -= sum(d);
    }
}

/* Many nets: p is (nets, 9), losses (nets, steps), nets a multiple of 16; sixteen nets are the lanes. */
void train_many(float *p, float *losses, long nets, long steps) {
    for (long first = 0; first < nets; first += 16) {
        v16 q[9];
        for (int k = 0; k < 9; k++)
            for (int i = 0; i < 16; i++) q[k][i] = p[(first + i) * 9 + k];
        for (long step = 0; step < steps; step++) {
            v16 g[9] = {{0}}, total = {0};
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                v16 h1 = sixteen_sigmoid(X1[j] * q[0] + X2[j] * q[2] + q[4]), d;
                v16 h2 = sixteen_sigmoid(X1[j] * q[1] + X2[j] * q[3] + q[5]);
                total += sixteen_loss(h1 * q[6] + h2 * q[7] + q[8], Y[j] + (v16){0}, &d);
                v16 a = d * q[6] * h1 * (1.0f - h1), b = d * q[7] * h2 * (1.0f - h2);
                g[0] += X1[j] * a, g[1] += X1[j] * b, g[2] += X2[j] * a, g[3] += X2[j] * b, g[4] += a, g[5] += b;
                g[6] += d * h1, g[7] += d * h2, g[8] += d;
            }
            for (int k = 0; k < 9; k++) q[k] -= 0.25f * g[k];
            for (int i = 0; i < 16; i++) losses[(first + i) * steps + step] = 0.25f * total[i];
        }
        for (int k = 0; k < 9; k++)
            for (int i = 0; i < 16; i++) p[(first + i) * 9 + k] = q[k][i];
    }
}
