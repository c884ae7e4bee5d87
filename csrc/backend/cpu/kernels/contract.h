/* backend/cpu/kernels/contract.h -- one rounding for a product and its sum, as BLAS has it. For
 * kernels that may; included before their functions. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
#endif
