/* Closes a region: see op_isa_plain.h. */
#undef V
#undef VEC_ROWS
#undef VEC
#undef LANES
#undef VEC_LOAD
#undef VEC_STORE
#undef VEC_SET
#undef VEC_SUM
#undef VEC_FMA
#ifdef TGK_REGION
#undef TGK_REGION
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
