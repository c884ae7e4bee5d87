/* array/header.h -- raw array headers, for the files of this layer that fill them in. */
#ifndef PYARR_ARRAY_HEADER_H
#define PYARR_ARRAY_HEADER_H

#include "array/array.h"

/* A header without a storage; shape, strides and size are to be filled in, and storage set
 * before it is released or shown to anyone. NULL with ERR_VALUE (too many axes) or
 * ERR_MEMORY. Freeing one whose storage is still NULL is array_release's business too. */
Array *array_new_header(DType dtype, int ndim);

#endif
