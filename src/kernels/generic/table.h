// The entries of an instruction set's table over the generic text. Included inside its own namespace, last.

void block_matmul(const PackedMatrix& w, size_t panel_bytes, const ActivationRows& x, float* y, size_t ldy,
                  size_t panel_begin, size_t panel_end, bool accumulate) {
  switch (w.type) {
    case DType::q4_0:
      return multiply_blocks<PanelQ4_0>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q4_1:
      return multiply_blocks<PanelQ4_1>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q5_0:
      return multiply_blocks<PanelQ5_0>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q5_1:
      return multiply_blocks<PanelQ5_1>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q8_0:
      return multiply_blocks<PanelQ8_0>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q2_k:
      return multiply_blocks<PanelQ2_K>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q3_k:
      return multiply_blocks<PanelQ3_K>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q4_k:
      return multiply_blocks<PanelQ4_K>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q5_k:
      return multiply_blocks<PanelQ5_K>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::q6_k:
      return multiply_blocks<PanelQ6_K>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::iq4_nl:
      return multiply_blocks<PanelIQ4_NL>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::iq4_xs:
      return multiply_blocks<PanelIQ4_XS>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::mxfp4:
      return multiply_blocks<PanelMXFP4>(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      break;
  }
}

void matmul(const PackedMatrix& w, const ActivationRows& x, float* y, size_t ldy, size_t panel_begin,
            size_t panel_end, bool accumulate) {
  const size_t panel_bytes = packed_panel_bytes(w.type, w.cols);
  const Rows rows = {x.x, x.ld, x.tokens, w.cols};
  switch (w.type) {
    case DType::f32:
      return multiply_panels(PackedPanels<PackedF32>{w.data, panel_bytes, w.rows}, rows, y, ldy, accumulate,
                             panel_begin, panel_end);
    case DType::f16:
      return multiply_panels(PackedPanels<PackedF16>{w.data, panel_bytes, w.rows}, rows, y, ldy, accumulate,
                             panel_begin, panel_end);
    case DType::bf16:
      return multiply_panels(PackedPanels<PackedBf16>{w.data, panel_bytes, w.rows}, rows, y, ldy, accumulate,
                             panel_begin, panel_end);
    default:
      return block_matmul(w, panel_bytes, x, y, ldy, panel_begin, panel_end, accumulate);
  }
}
