/* backend/cpu/access.h -- an operand read or written in the C order of an index space. */
#ifndef PYARR_BACKEND_CPU_ACCESS_H
#define PYARR_BACKEND_CPU_ACCESS_H

#include "backend/backend.h"

/* Elements that are worked on at a time, and bytes that hold them whatever the dtype. */
enum { ACCESS_BLOCK = 512, ACCESS_BLOCK_BYTES = ACCESS_BLOCK * 16 };

typedef struct Access {
    char *data;
    int size;          /* bytes of an element */
    bool uniform;      /* one element for all indices */
    bool contiguous;   /* elements lie side by side, aligned */
    bool aligned;
    int ndim;          /* axes that are left after joining those that can be; innermost last */
    int64_t shape[ARRAY_MAX_NDIM];
    int64_t strides[ARRAY_MAX_NDIM]; /* bytes */
} Access;

/* The operand with its axes taken in `order` (NULL: as they are); the axis count of `order`
 * may be less than the operand's: then only those axes are walked. */
void access_init(Access *access, const Operand *operand, int naxes, const int *order);

/* Elements from any multiple of this on, up to the next, lie at one stride. */
static inline int64_t
access_run(const Access *a, int64_t n)
{
    return a->uniform || a->contiguous || a->ndim == 0 ? n : a->shape[a->ndim - 1];
}

/* Elements [at, at + n), n <= ACCESS_BLOCK: where they lie if they lie contiguous and aligned,
 * else `scratch`, which they are copied to. *uniform: only the first one is there, and all are
 * equal to it. */
const void *access_load(const Access *a, int64_t at, int64_t n, void *scratch, bool *uniform);

/* The same from `data` instead of access->data, and always n elements side by side. */
const void *access_gather(const Access *a, const char *data, int64_t at, int64_t n, void *scratch);
/* Writes n elements that lie side by side, to `data`. */
void access_scatter(const Access *a, char *data, int64_t at, int64_t n, const void *from);

/* Byte offset of an element. */
int64_t access_offset(const Access *a, int64_t at);

#endif
