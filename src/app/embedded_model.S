/* models/search.gguf as read-only data: tern_model_begin to tern_model_end. */
  .section .rodata
  .balign 4096
  .global tern_model_begin
tern_model_begin:
  .incbin TERN_EMBEDDED_MODEL
  .global tern_model_end
tern_model_end:
  .byte 0
  .section .note.GNU-stack,"",@progbits
