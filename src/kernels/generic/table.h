// The entries of an instruction set's table over the generic text. Included inside its own namespace, last.

void matmul(const PackedMatrix& w, const Activations& x, float* y, size_t ldy, size_t panel_begin,
            size_t panel_end) {
  const size_t panel_bytes = packed_panel_bytes(w.type, w.cols);
  const Rows rows = {x.x, x.ld, x.tokens, w.cols};
  switch (w.type) {
    case DType::f32:
      return multiply_panels(PackedPanels<PackedF32>{w.data, panel_bytes, w.rows}, rows, y, ldy, false,
                             panel_begin, panel_end);
    case DType::f16:
      return multiply_panels(PackedPanels<PackedF16>{w.data, panel_bytes, w.rows}, rows, y, ldy, false,
                             panel_begin, panel_end);
    case DType::bf16:
      return multiply_panels(PackedPanels<PackedBf16>{w.data, panel_bytes, w.rows}, rows, y, ldy, false,
                             panel_begin, panel_end);
    case DType::q8_0:
      return multiply_q8(w, panel_bytes, x, y, ldy, panel_begin, panel_end);
    default:  // cannot be packed
      break;
  }
}

void gemm(const float* a, size_t lda, const float* b, size_t ldb, float* c, size_t ldc, size_t m, size_t n,
          size_t k, bool accumulate) {
  multiply_panels(StridedPanels{b, ldb, n}, Rows{a, lda, m, k}, c, ldc, accumulate, 0, (n + 15) / 16);
}
