typedef float f32;
typedef double f64;
typedef __INT64_TYPE__ i64;
typedef __INT32_TYPE__ i32;
typedef __INT16_TYPE__ i16;
typedef signed char i8;
typedef unsigned char u8, b8;
typedef __UINT64_TYPE__ u64;
typedef __UINT32_TYPE__ u32;
typedef __UINT16_TYPE__ u16, bf16, f16;  // the bits of floats, which are converted to compute
#define PRAGMA(text) _Pragma(#text)
#define INLINED inline __attribute__((always_inline))  // gcc would call a long function, and not vectorise its loop
#ifdef __clang__
#define VECTORISE _Pragma("clang loop vectorize(assume_safety)")
#define UNROLL(n) PRAGMA(clang loop unroll_count(n))
#define KEEP_SCALAR
#define WRITTEN
#define IN_REGISTER(x)
#else
#define VECTORISE _Pragma("GCC ivdep")
#define UNROLL(n) PRAGMA(GCC unroll n)
#define KEEP_SCALAR __asm__ volatile("");  // without effect, but no loop around it becomes one of vectors
#define WRITTEN __asm__ volatile("" : : : "memory");  // else gcc 12 may find a function pure, and drop its calls
#ifdef __x86_64__
#define IN_REGISTER(x) __asm__("" : "+v"(x));  // else gcc 12 loads a whole vector to repeat its first element
#else
#define IN_REGISTER(x)
#endif
#endif
#define IN_MEMORY(x) __asm__("" : "+m"(x));
#if defined(__FMA__) || defined(__aarch64__)
#define FUSED 1  // fma rounds once
#else
#define FUSED 0
#endif
#if defined(__x86_64__)  // flush-to-zero and denormals-are-zero of MXCSR; flush-to-zero, which is both, of FPCR
#define FLUSHED 0x8040
static inline u64 mode(void) { return __builtin_ia32_stmxcsr(); }
static inline void set_mode(u64 m) { __builtin_ia32_ldmxcsr((unsigned)m); }
#elif defined(__aarch64__)
#define FLUSHED (1 << 24)
static inline u64 mode(void) { u64 m; __asm__ volatile("mrs %0, fpcr" : "=r"(m)); return m; }
static inline void set_mode(u64 m) { __asm__ volatile("msr fpcr, %0" : : "r"(m)); }
#else
#define FLUSHED 0
static inline u64 mode(void) { return 0; }
static inline void set_mode(u64 m) {}
#endif
static _Thread_local u64 mode_;  // the floating-point mode of the caller
#define FAILED 4
static _Thread_local int flags_;  // 1: an index out of range; 2: a division by zero; FAILED times the code of a check
static inline i64 hidden(i64 i) {  // gcc 12 reads at wrong indices if they are a vector of comparisons
#ifndef __clang__
  __asm__("" : "+r"(i));
#endif
  return i;
}
static inline i64 within(i64 i, i64 n, i64 *wrong) {  // without branches, so that it can be vectorised
  i = i < 0 ? i + n : i;
  const i64 out = (u64)i >= (u64)n;
  *wrong |= out;
  return out ? 0 : i;
}
static inline i64 within_one(i64 i, i64 n, i64 *wrong) {  // faster where nothing is vectorised
  i = i < 0 ? i + n : i;
  if ((u64)i < (u64)n) return i;
  *wrong = 1;
  return 0;
}
#define K_i64(c) ((i64)(c))
static inline i64 sel_i64(int m, i64 a, i64 b) { return m ? a : b; }
#define K_i32(c) ((i32)(c))
static inline i32 sel_i32(int m, i32 a, i32 b) { return m ? a : b; }
#define K_i16(c) ((i16)(c))
static inline i16 sel_i16(int m, i16 a, i16 b) { return m ? a : b; }
#define K_i8(c) ((i8)(c))
static inline i8 sel_i8(int m, i8 a, i8 b) { return m ? a : b; }
#define K_u64(c) ((u64)(c))
static inline u64 sel_u64(int m, u64 a, u64 b) { return m ? a : b; }
#define K_u32(c) ((u32)(c))
static inline u32 sel_u32(int m, u32 a, u32 b) { return m ? a : b; }
#define K_u16(c) ((u16)(c))
static inline u16 sel_u16(int m, u16 a, u16 b) { return m ? a : b; }
#define K_u8(c) ((u8)(c))
static inline u8 sel_u8(int m, u8 a, u8 b) { return m ? a : b; }
#define K_bf16(c) ((bf16)(c))
static inline bf16 sel_bf16(int m, bf16 a, bf16 b) { return m ? a : b; }
#define K_f16(c) ((f16)(c))
static inline f16 sel_f16(int m, f16 a, f16 b) { return m ? a : b; }
#define K_b8(c) ((b8)(c))
static inline b8 sel_b8(int m, b8 a, b8 b) { return m ? a : b; }
static inline i32 bits_f32(f32 x) { i32 r; __builtin_memcpy(&r, &x, sizeof r); return r; }
static inline f32 float_f32(i32 x) { f32 r; __builtin_memcpy(&r, &x, sizeof r); return r; }
#define K_f32(c) ((f32)(c))
static inline f32 sel_f32(int m, f32 a, f32 b) {  // without branches, into which gcc would move the arms
  const i32 k = -(i32)(m != 0);
  return float_f32((bits_f32(a) & k) | (bits_f32(b) & ~k));
}
static inline i64 bits_f64(f64 x) { i64 r; __builtin_memcpy(&r, &x, sizeof r); return r; }
static inline f64 float_f64(i64 x) { f64 r; __builtin_memcpy(&r, &x, sizeof r); return r; }
#define K_f64(c) ((f64)(c))
static inline f64 sel_f64(int m, f64 a, f64 b) {  // without branches, into which gcc would move the arms
  const i64 k = -(i64)(m != 0);
  return float_f64((bits_f64(a) & k) | (bits_f64(b) & ~k));
}
typedef i32 w16i32 __attribute__((vector_size(16 * sizeof(i32)), aligned(sizeof(i32)), may_alias));
static inline void transpose_w16i32(const i32 *from, i64 ld, i32 *to, i64 pitch, i64 m, i64 n) {
  i64 rows = 0, columns = 0;  // done: to[i pitch + j] = from[i + j ld] for i < m and j < n
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
  rows = m - m % 16, columns = n - n % 16;
  for (i64 j = 0; j < columns; j += 16)
    for (i64 i = 0; i < rows; i += 16) {
      const i32 *const block = from + i + j * ld;
      const w16i32 a0_0 = *(const w16i32 *)(block + 0 * ld);
      const w16i32 a0_1 = *(const w16i32 *)(block + 1 * ld);
      const w16i32 a0_2 = *(const w16i32 *)(block + 2 * ld);
      const w16i32 a0_3 = *(const w16i32 *)(block + 3 * ld);
      const w16i32 a0_4 = *(const w16i32 *)(block + 4 * ld);
      const w16i32 a0_5 = *(const w16i32 *)(block + 5 * ld);
      const w16i32 a0_6 = *(const w16i32 *)(block + 6 * ld);
      const w16i32 a0_7 = *(const w16i32 *)(block + 7 * ld);
      const w16i32 a0_8 = *(const w16i32 *)(block + 8 * ld);
      const w16i32 a0_9 = *(const w16i32 *)(block + 9 * ld);
      const w16i32 a0_10 = *(const w16i32 *)(block + 10 * ld);
      const w16i32 a0_11 = *(const w16i32 *)(block + 11 * ld);
      const w16i32 a0_12 = *(const w16i32 *)(block + 12 * ld);
      const w16i32 a0_13 = *(const w16i32 *)(block + 13 * ld);
      const w16i32 a0_14 = *(const w16i32 *)(block + 14 * ld);
      const w16i32 a0_15 = *(const w16i32 *)(block + 15 * ld);
      const w16i32 a1_0 = __builtin_shufflevector(a0_0, a0_8, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_1 = __builtin_shufflevector(a0_0, a0_8, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_2 = __builtin_shufflevector(a0_1, a0_9, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_3 = __builtin_shufflevector(a0_1, a0_9, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_4 = __builtin_shufflevector(a0_2, a0_10, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_5 = __builtin_shufflevector(a0_2, a0_10, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_6 = __builtin_shufflevector(a0_3, a0_11, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_7 = __builtin_shufflevector(a0_3, a0_11, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_8 = __builtin_shufflevector(a0_4, a0_12, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_9 = __builtin_shufflevector(a0_4, a0_12, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_10 = __builtin_shufflevector(a0_5, a0_13, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_11 = __builtin_shufflevector(a0_5, a0_13, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_12 = __builtin_shufflevector(a0_6, a0_14, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_13 = __builtin_shufflevector(a0_6, a0_14, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a1_14 = __builtin_shufflevector(a0_7, a0_15, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a1_15 = __builtin_shufflevector(a0_7, a0_15, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_0 = __builtin_shufflevector(a1_0, a1_8, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_1 = __builtin_shufflevector(a1_0, a1_8, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_2 = __builtin_shufflevector(a1_1, a1_9, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_3 = __builtin_shufflevector(a1_1, a1_9, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_4 = __builtin_shufflevector(a1_2, a1_10, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_5 = __builtin_shufflevector(a1_2, a1_10, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_6 = __builtin_shufflevector(a1_3, a1_11, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_7 = __builtin_shufflevector(a1_3, a1_11, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_8 = __builtin_shufflevector(a1_4, a1_12, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_9 = __builtin_shufflevector(a1_4, a1_12, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_10 = __builtin_shufflevector(a1_5, a1_13, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_11 = __builtin_shufflevector(a1_5, a1_13, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_12 = __builtin_shufflevector(a1_6, a1_14, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_13 = __builtin_shufflevector(a1_6, a1_14, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a2_14 = __builtin_shufflevector(a1_7, a1_15, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a2_15 = __builtin_shufflevector(a1_7, a1_15, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_0 = __builtin_shufflevector(a2_0, a2_8, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_1 = __builtin_shufflevector(a2_0, a2_8, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_2 = __builtin_shufflevector(a2_1, a2_9, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_3 = __builtin_shufflevector(a2_1, a2_9, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_4 = __builtin_shufflevector(a2_2, a2_10, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_5 = __builtin_shufflevector(a2_2, a2_10, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_6 = __builtin_shufflevector(a2_3, a2_11, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_7 = __builtin_shufflevector(a2_3, a2_11, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_8 = __builtin_shufflevector(a2_4, a2_12, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_9 = __builtin_shufflevector(a2_4, a2_12, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_10 = __builtin_shufflevector(a2_5, a2_13, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_11 = __builtin_shufflevector(a2_5, a2_13, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_12 = __builtin_shufflevector(a2_6, a2_14, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_13 = __builtin_shufflevector(a2_6, a2_14, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a3_14 = __builtin_shufflevector(a2_7, a2_15, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a3_15 = __builtin_shufflevector(a2_7, a2_15, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_0 = __builtin_shufflevector(a3_0, a3_8, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_1 = __builtin_shufflevector(a3_0, a3_8, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_2 = __builtin_shufflevector(a3_1, a3_9, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_3 = __builtin_shufflevector(a3_1, a3_9, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_4 = __builtin_shufflevector(a3_2, a3_10, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_5 = __builtin_shufflevector(a3_2, a3_10, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_6 = __builtin_shufflevector(a3_3, a3_11, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_7 = __builtin_shufflevector(a3_3, a3_11, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_8 = __builtin_shufflevector(a3_4, a3_12, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_9 = __builtin_shufflevector(a3_4, a3_12, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_10 = __builtin_shufflevector(a3_5, a3_13, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_11 = __builtin_shufflevector(a3_5, a3_13, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_12 = __builtin_shufflevector(a3_6, a3_14, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_13 = __builtin_shufflevector(a3_6, a3_14, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const w16i32 a4_14 = __builtin_shufflevector(a3_7, a3_15, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const w16i32 a4_15 = __builtin_shufflevector(a3_7, a3_15, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      *(w16i32 *)(to + (i + 0) * pitch + j) = a4_0;
      *(w16i32 *)(to + (i + 1) * pitch + j) = a4_1;
      *(w16i32 *)(to + (i + 2) * pitch + j) = a4_2;
      *(w16i32 *)(to + (i + 3) * pitch + j) = a4_3;
      *(w16i32 *)(to + (i + 4) * pitch + j) = a4_4;
      *(w16i32 *)(to + (i + 5) * pitch + j) = a4_5;
      *(w16i32 *)(to + (i + 6) * pitch + j) = a4_6;
      *(w16i32 *)(to + (i + 7) * pitch + j) = a4_7;
      *(w16i32 *)(to + (i + 8) * pitch + j) = a4_8;
      *(w16i32 *)(to + (i + 9) * pitch + j) = a4_9;
      *(w16i32 *)(to + (i + 10) * pitch + j) = a4_10;
      *(w16i32 *)(to + (i + 11) * pitch + j) = a4_11;
      *(w16i32 *)(to + (i + 12) * pitch + j) = a4_12;
      *(w16i32 *)(to + (i + 13) * pitch + j) = a4_13;
      *(w16i32 *)(to + (i + 14) * pitch + j) = a4_14;
      *(w16i32 *)(to + (i + 15) * pitch + j) = a4_15;
    }
#endif
#endif
  for (i64 i = 0; i < m; ++i)
    for (i64 j = i < rows ? columns : 0; j < n; ++j) to[i * pitch + j] = from[i + j * ld];
}
typedef struct {
  char *const *inputs, *const *outputs;
  char *arena;
  volatile int *control;
  i64 lane, padded;
  char *scratch;  // memory of this thread
  i64 threads;
} Run;
typedef void (*Part)(const Run *run, const i64 *at, const i64 *steps, i64 first, i64 last);
void (*workers_)(void (*)(void *, i64), void *, i64);  // set when the kernel is loaded, if there are threads
enum { PARTS_ = 256 };
typedef struct {
  Part part;
  const Run *run;
  const i64 *at, *steps;
  i64 count, parts;
  u64 mode;
  int flags;
  char begun[PARTS_];
} Team;
static void work_(void *data, i64 thread) {
  Team *const team = data;
  Run run = *team->run;
  const i64 parts = team->parts;
  const u64 before = mode();
  const int flags = flags_;
  flags_ = 0;
  mode_ = team->mode;
  set_mode(mode_ | FLUSHED);
  run.scratch += thread * 64640;
  for (i64 i = 0; i < parts; ++i) {
    const i64 p = (thread * parts / run.threads + i) % parts;
    if (!__atomic_exchange_n(&team->begun[p], 1, __ATOMIC_RELAXED))
      team->part(&run, team->at, team->steps, team->count * p / parts, team->count * (p + 1) / parts);
  }
  set_mode(before);
  __atomic_fetch_or(&team->flags, flags_, __ATOMIC_RELAXED);
  flags_ = flags;
}
static void share(Part part, const Run *run, const i64 *at, const i64 *steps, i64 count) {
  if (run->threads < 2 || !workers_) {
    part(run, at, steps, 0, count);
    return;
  }
  const i64 most = 4 * run->threads < PARTS_ ? 4 * run->threads : PARTS_;
  Team team = {part, run, at, steps, count, count < most ? count : most, mode_};
  workers_(work_, &team, run->threads);
  flags_ |= team.flags;
}
static const i64 table[] = {0, 0, 0};

static inline void section0_(volatile int *control, i64 padded, i64 first, i64 last, const f32 *restrict v1, f32 *restrict v2, f32 *restrict v5) {
  for (i64 t0 = first; t0 < last; ++t0) {
    if (control[0]) return;
    transpose_w16i32((const i32 *)&v1[t0 * 16], 1000, (i32 *)&v2[0], 1008, 16, 1000);
    for (i64 i0 = 0; i0 < 16; ++i0) {
      VECTORISE
      for (i64 i1 = 0; i1 < 1000; ++i1) {
        const f32 l3 = v2[i0 * 1008 + i1];
        const f32 n4 = l3 * (f32)0x1.0000000000000p+1;
        v5[i0 * 1000 + i1 + t0 * 16000] = n4;
      }
    }
  }
}
static __attribute__((noinline)) void section0(const Run *run, const i64 *at, const i64 *steps, i64 first, i64 last) {
  section0_(run->control, run->padded, first, last, (const f32 *)run->inputs[at[0]], __builtin_assume_aligned((void *)(run->scratch + at[1]), 128), (f32 *)run->outputs[at[2]]);
  WRITTEN
}

static __attribute__((noinline)) void block(char *const *inputs, const i64 *strides, char *const *outputs, char *arena, volatile int *control, i64 lane, i64 lanes, i64 padded, i64 threads) {
  const f32 *const v2 = (const f32 *)inputs[0];
  f32 *const v3 = (f32 *)(arena + 0);
  f32 *const v6 = (f32 *)outputs[0];
  const Run run = {inputs, outputs, arena, control, lane, padded, arena + 32384, threads};
  if (control[0]) return;
  share(section0, &run, table + 0, (const i64[]){0}, 62);
  const i64 s0 = hidden(1000);
  for (i64 i0 = 0; i0 < 8; ++i0) {
    VECTORISE
    for (i64 i1 = 0; i1 < 1000; ++i1) {
      const f32 l1 = v2[i0 + i1 * s0 + 992];
      v3[i0 * 1008 + i1] = l1;
    }
  }
  for (i64 i0 = 0; i0 < 8; ++i0) {
    VECTORISE
    for (i64 i1 = 0; i1 < 1000; ++i1) {
      const f32 l4 = v3[i0 * 1008 + i1];
      const f32 n5 = l4 * (f32)0x1.0000000000000p+1;
      v6[i0 * 1000 + i1 + 992000] = n5;
    }
  }
  WRITTEN
}

typedef struct {
  char *const *inputs; const i64 *strides; char *const *outputs; char *arena; volatile int *control;
  i64 first, last, lanes, padded, threads; int (*torch_call)(i64, void **), (*goes_on)(i64);
} Call;

void kernel(const Call *call) {
  flags_ = 0;
  mode_ = mode();
  set_mode(mode_ | FLUSHED);
  char *const *inputs = call->inputs, *const *outputs = call->outputs;
  char *arena = call->arena;
  const i64 *strides = call->strides, lanes = call->lanes, padded = call->padded, threads = call->threads;
  volatile int *control = call->control;
  for (i64 b = call->first; b < call->last && !control[0]; ++b) {
    char *in[1 + 1], *out[1 + 1];
    for (int i = 0; strides && i < 1; ++i) in[i] = inputs[i] + b * strides[i];
    for (int i = 0; strides && i < 1; ++i) out[i] = outputs[i] + b * strides[1 + i];
    block(strides ? in : inputs, strides, strides ? out : outputs, arena, control, 0, 1, 1, threads);
  }
  set_mode(mode_);
  call->control[1] |= flags_;
}
