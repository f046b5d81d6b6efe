"""Expressions of random programs: linear algebra, complex numbers, windows, losses, traced indices, 16-bit floats."""

LINEAR_ALGEBRA = """
torch.linalg.cholesky({f} @ {f}.mT + torch.eye({f}.shape[-2]).to({f}.dtype)) ; ({f} @ {f}.mT + 2).trace()
{f}.mT.inner({f}.mT) ; torch.linalg.solve({f} @ {f}.mT + 2 * torch.eye({f}.shape[-2]).to({f}.dtype), {f})
torch.linalg.slogdet({f} @ {f}.mT + torch.eye({f}.shape[-2]).to({f}.dtype))
torch.linalg.inv({f} @ {f}.mT + torch.eye({f}.shape[-2]).to({f}.dtype)) ; torch.linalg.det({f} @ {f}.mT)
torch.linalg.eigvalsh({f} @ {f}.mT)
torch.linalg.solve_triangular({f} @ {f}.mT + torch.eye({f}.shape[-2]).to({f}.dtype), {f}, upper={keep})
torch.linalg.svdvals({f}) ; torch.linalg.matrix_exp(({f} @ {f}.mT).tanh())
torch.linalg.matrix_power(({f} @ {f}.mT).tanh(), 3) ; torch.linalg.qr({f})[1].abs()
torch.linalg.vector_norm({f}, 3, {f:axes}) ; torch.linalg.matrix_norm({f}) ; torch.linalg.norm({f} + 1, dim={f:axis})
torch.cdist({f}, {f} + 1) ; torch.kron({f}, {f}) ; torch.cov({f}) ; torch.linalg.multi_dot([{f}, {f}.mT, {f}])
torch.baddbmm({f}, {f:partner}, {f:partner}) ; torch.tensordot({f}, {f}, 1) ; torch.einsum("ij,kj->ik", {f}, {f})
torch.einsum("...ij,...kj->...ik", {f}, {f:like}) ; torch.vander({f}.flatten()[:4])
torch.linalg.cross({f}.flatten()[:3], {f}.flatten()[-3:])
torch.cholesky_solve({f}, torch.linalg.cholesky({f} @ {f}.mT + torch.eye({f}.shape[-2]).to({f}.dtype)))
torch.linalg.pinv({f} + 3)
"""

TRANSFORMS = """
torch.fft.rfft({f}, dim={f:axis}).real ; torch.fft.fft({f}, dim={f:axis}).imag
torch.fft.irfft(torch.fft.rfft({f}), n={f}.shape[-1]) ; torch.fft.fft2({f}).abs() ; torch.fft.fftshift({f})
torch.fft.ifft(torch.complex({f}, {f:like}), norm="ortho").real ; torch.fft.fft({f}, n=6).imag
torch.view_as_real(torch.complex({f}, {f:like}) * torch.complex({f:like}, {f}))
torch.polar({f}.abs(), {f:like}).imag ; torch.complex({f}, {f:like}).exp().real
torch.complex({f} + 2, {f:like}).log().imag ; (torch.complex({f}, {f:like}).conj() @ torch.complex({f}, {f}).mT).real
torch.complex({f}, {f:like}).abs() ; torch.stft({f}.flatten(), 4, return_complex=True).real
torch.complex({f}, {f:like}).sum({f:axis}).imag
torch.complex({f}, {f:like}).mT.imag ; torch.complex({f}, {f:like}).cumprod({f:axis}).real
torch.complex({f}, {f:like}).sigmoid().real
"""

WINDOWS = """
F.pad({f}[None], (1, 1), mode="reflect") ; F.pad({f}[None], (2, 1), mode="replicate")
F.interpolate({f}[None], size=(5,), mode="linear") ; F.interpolate({f}[None], scale_factor=2, mode="nearest")
F.interpolate({f}[None, None], size=(3, 5), mode="bilinear", align_corners={keep})
F.interpolate({f}[None, None], size=(2, 7), mode="bicubic") ; F.interpolate({f}[None], size=(2,), mode="area")
F.max_pool2d({f}[None], 2) ; F.avg_pool2d({f}[None], 2, stride=1, padding=1) ; F.adaptive_avg_pool1d({f}[None], 2)
F.adaptive_max_pool2d({f}[None], (2, 1)) ; F.unfold({f}[None, None], 2)
F.conv2d({f}[None, None], {f}.flatten()[:4].reshape(1, 1, 2, 2), padding=1)
F.conv_transpose1d({f}.reshape(1, 1, -1), {f}.flatten()[:3].reshape(1, 1, 3), stride=2)
F.conv1d({f}.reshape(1, 1, -1), {f}.flatten()[:2].reshape(2, 1, 1), stride=2)
F.pixel_shuffle({f}.flatten()[:12].reshape(1, 4, 3, 1), 2)
F.grid_sample({f}[None, None], {f}.flatten()[:4].tanh().reshape(1, 1, 2, 2), align_corners={keep})
F.lp_pool1d({f}[None].abs() + 1, 2, 2) ; {x}.unfold({x:axis}, {x:window}).sum(-1)
F.fold(F.unfold({f}[None, None], 2), {f}.shape, 2) ; F.max_pool1d({f}[None], 2, return_indices=True)
F.max_unpool1d(*F.max_pool1d({f}[None], 2, return_indices=True), 2)
"""

STATISTICS = """
torch.var_mean({f}, {f:axes}) ; torch.std({f} * 3, {f:axis}) ; torch.median({x}) ; {x}.median({x:axis})[0]
{f}.quantile(0.3, {f:axis}) ; {x}.kthvalue(1, {x:axis})[0] ; {f}.nansum({f:axes}) ; {f}.nanmean({f:axis})
torch.trapezoid({f}, dim={f:axis}) ; {x}.msort() ; torch.aminmax({x}) ; {x}.argsort(descending=True, stable=True)
torch.searchsorted({f}.flatten().sort()[0], {f}.flatten())
torch.bucketize({f}, torch.tensor([-0.5, 0.1, 0.9]).to({f}.dtype)) ; torch.histc({f}, 4, -2, 2)
{i}.flatten().remainder(5).bincount(minlength=5) ; F.one_hot({i}.remainder(4).long(), 4)
F.normalize({f}, dim={f:axis}) ; F.cosine_similarity({f}, {f:like}, {f:axis})
F.cross_entropy({f}.reshape(-1, {f}.shape[-1]), {f}.reshape(-1, {f}.shape[-1]).argmin(-1))
F.kl_div({f}.log_softmax(-1), {f:like}.softmax(-1), reduction="sum") ; F.mse_loss({f}, {f:like})
F.huber_loss({f}, {f:like}) ; F.smooth_l1_loss({f}, {f:like}, reduction="sum")
F.binary_cross_entropy_with_logits({f}, {f:like}.sigmoid())
F.nll_loss({f}.reshape(-1, {f}.shape[-1]), {f}.reshape(-1, {f}.shape[-1]).argmax(-1), reduction="none")
F.group_norm({f}[None], 1) ; F.rms_norm({f}, {f}.shape[-1:]) ; F.batch_norm({f}, None, None, training=True)
F.batch_norm({f}, {f}[0].sin(), {f}[0].square() + 1)
F.scaled_dot_product_attention({f}[None], {f}[None], {f}[None], is_causal={keep}) ; F.hardswish({f}) ; F.mish({f})
F.selu({f}) ; F.celu({f}) ; F.glu(torch.cat([{f}, {f}], -1)) ; F.logsigmoid({f}) ; F.hardtanh({f})
F.threshold({f}, 0.1, 0.2) ; F.prelu({f}, {f}.flatten()[:1]) ; torch.special.erfinv({f}.tanh() * 0.9)
torch.lgamma({f}.abs() + 0.5) ; torch.digamma({f}.abs() + 0.5) ; torch.special.i0({f}) ; torch.sinc({f})
torch.special.xlog1py({f}, {f:like}.abs()) ; torch.logaddexp({f}, {f:like}) ; torch.special.entr({f}.abs())
torch.special.ndtr({f}) ; torch.logit({f}.sigmoid()) ; torch.frexp({f})[0] ; torch.ldexp({f}, {f:like}.floor())
torch.float_power({f}.abs() + 1, 2) ; torch.gcd({i}, {i}) ; torch.floor_divide({x}, 3)
torch.bitwise_left_shift({i} & 3, 2) ; torch.isclose({f}, {f:like}) ; torch.triu_indices(3, 4)
torch.nextafter({f}, {f:like}) ; torch.expm1({f}) ; torch.asinh({f}) ; torch.renorm({f}, 2, {f:axis}, 1.5)
{x}.diff(prepend={x}, dim=0) ; torch.cumulative_trapezoid({f}) ; {x}.tile((2, 1)) ; torch.hstack([{x}, {x}])
torch.dstack([{x}, {x:like}]) ; {x}.fliplr() ; torch.swapaxes({x}, 0, -1)
"""

TRACED_INDICES = """
{x}[{x:first}{x:at}] ; {x}.index_select({x:axis}, {x:at}) ; {x}.select({x:axis}, {x:place})
{x}.narrow({x:axis}, 0, 1) ; fn.lax.dynamic_slice_in_dim({x}, {x:first}{x:at}, 1, 0)
fn.lax.dynamic_index_in_dim({x}, {i}.sum(), 0) ; fn.at({x})[{x:first}{x:rows}].add(1)
fn.at({x})[{x:first}{x:at}].set(0) ; fn.at({x})[{x:first}{x:at}].multiply(2) ; fn.at({x})[{x:index}].set(1)
fn.at({x})[{x:first}{x:rows}].max(1) ; fn.at({x})[{x:first}{x:rows}].get(mode="fill", fill_value=0)
fn.lax.dynamic_update_slice_in_dim({x}, {x}[:1] * 2, {i}.sum(), 0) ; {x}[..., {x:final}{x:at}] ; {x}[{x:both}]
{x}[{x:first}{x:at}, None] ; {x}.take_along_dim({x:final}{x:at}.reshape([1] * {x}.ndim), -1)
"""

HALVES = """
{f}.half() ; {f}.bfloat16() ; {h} * 2 ; {h}.exp().clamp(max=20) ; {h} + {h} ; {h} @ {h}.mT ; {h}.sum(-1) ; {h}.float()
{h}.double() ; {h}.mean() ; {h}.softmax(-1) ; {h}.amax(0) ; {h}.cumsum(-1) ; {h}.tanh() ; {h} + 1.5
{h}.sigmoid() * {h} ; {x}.to(torch.int8) ; {x}.clamp(-99, 99).to(torch.int16) ; {h}.sort(stable=True)[0]
{h}.argmax() ; {h}.to({x}.dtype) ; {h}.sqrt().nan_to_num() ; {h} > 0 ; torch.where({h} > 0, {h}, 1)
{h}.to(torch.bfloat16) + {h}.to(torch.float16) ; torch.stack([{h}, {h} * 3]) ; F.layer_norm({h}, {h}.shape[-1:])
{h}.square().sum() ; {h}.mT.contiguous() ; {h}.prod() ; {h}.var() ; {h}.norm() ; F.gelu({h})
"""
