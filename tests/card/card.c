/* A CUDA runtime without a card, for tests. It is loaded before the real one (LD_PRELOAD), so that
 * torch's own host code runs: dispatch, device checks, caching allocator, streams, events.
 *
 * Device memory is memory of this machine, kernels do nothing (card.py computes the numbers), and a
 * copy between page-locked and device memory is done as late as CUDA allows: when its stream is
 * waited for or gets further work. Functions that torch needs and this file lacks return success;
 * card.py generates them.
 *
 * Environment:
 *   CARD_COUNT=1            cards          CARD_MB=4096   memory of each
 *   CARD_CAPABILITY=9.0     compute capability
 *   CARD_STATUS=0           what cudaGetDeviceCount returns, for a runtime that does not start; but
 *                           for 35, a driver too old, cuInit returns the same
 *   CARD_MOST_CELLS=0       cuBLAS has no memory for a product of more cells; 0: never
 */
#include <driver_types.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CARDS = 8, BLOCKS = 1 << 16, STREAMS = 1 << 10 };
enum { PINNED = 1, DEVICE = 2 }; /* as in cudaMemoryType */

struct block { char *start; size_t size; int kind, card; };
struct copy { void *to; const void *from; size_t size; struct copy *next; };
struct stream { struct copy *first, **last; };
struct event { struct stream *stream; struct timespec at; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block blocks[BLOCKS];
static int num_blocks;
static size_t used[CARDS];
static struct stream streams[STREAMS]; /* the first of each card is its default stream */
static int num_streams = CARDS;
static _Thread_local int card, error;
static _Thread_local struct { dim3 grid, block; size_t shared; void *stream; } call;

static long setting(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text ? atol(text) : otherwise;
}
static int fail(int code) { return error = code; }
static int cards(void) { return (int)setting("CARD_COUNT", 1); }
static size_t memory(void) { return (size_t)setting("CARD_MB", 4096) << 20; }
static int capability(int minor) {
  int found[2] = {9, 0};
  const char *text = getenv("CARD_CAPABILITY");
  if (text) sscanf(text, "%d.%d", &found[0], &found[1]);
  return found[minor];
}

/* Devices. */
int cudaGetDeviceCount(int *count) {
  *count = 0;
  int status = (int)setting("CARD_STATUS", cards() ? cudaSuccess : cudaErrorNoDevice);
  if (!status) *count = cards();
  return fail(status);
}
int cudaGetDevice(int *number) { return *number = card, 0; }
int cudaSetDevice(int number) {
  if (number < 0 || number >= cards()) return fail(cudaErrorInvalidDevice);
  return card = number, 0;
}
int cudaDriverGetVersion(int *version) { return *version = 13020, 0; }
int cudaRuntimeGetVersion(int *version) { return *version = 13020, 0; }
int cudaGetLastError(void) { int code = error; return error = 0, code; }
int cudaPeekAtLastError(void) { return error; }
int cudaDeviceGetAttribute(int *value, int attribute, int number) {
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: case cudaDevAttrMaxBlockDimX: case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxGridDimX: *value = INT32_MAX; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMultiProcessorCount: *value = 100; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrComputeCapabilityMajor: *value = capability(0); break;
    case cudaDevAttrComputeCapabilityMinor: *value = capability(1); break;
    default: *value = 65535;
  }
  return 0;
}
int cudaGetDeviceProperties(struct cudaDeviceProp *p, int number) {
  memset(p, 0, sizeof *p);
  snprintf(p->name, sizeof p->name, "Pretended card %d", number);
  p->major = capability(0), p->minor = capability(1), p->totalGlobalMem = memory();
  p->multiProcessorCount = 100, p->warpSize = 32, p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = 2048, p->sharedMemPerBlock = p->sharedMemPerBlockOptin = 49152;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536, p->unifiedAddressing = 1;
  for (int i = 0; i < 3; i++) p->maxThreadsDim[i] = 1024, p->maxGridSize[i] = 65535;
  p->maxGridSize[0] = INT32_MAX;
  return 0;
}
int cudaDeviceCanAccessPeer(int *can, int one, int other) { return *can = 0; }
int cudaDeviceGetStreamPriorityRange(int *least, int *most) { return *least = 0, *most = -5, 0; }

/* Memory. */
static struct block *holding(const void *place) {
  for (int i = 0; i < num_blocks; i++)
    if ((char *)place >= blocks[i].start && (char *)place < blocks[i].start + blocks[i].size)
      return &blocks[i];
  return NULL;
}
static int kind_at(const void *place) {
  pthread_mutex_lock(&lock);
  struct block *found = holding(place);
  int kind = found ? found->kind : 0;
  pthread_mutex_unlock(&lock);
  return kind;
}
static int take(void **place, size_t size, int kind) {
  pthread_mutex_lock(&lock);
  void *made = NULL;
  int full = num_blocks == BLOCKS || (kind == DEVICE && used[card] + size > memory());
  if (!full && !posix_memalign(&made, 512, size ? size : 1)) {
    blocks[num_blocks++] = (struct block){made, size, kind, card};
    if (kind == DEVICE) used[card] += size;
  }
  pthread_mutex_unlock(&lock);
  return (*place = made) ? 0 : fail(cudaErrorMemoryAllocation);
}
static int release(void *place) {
  pthread_mutex_lock(&lock);
  struct block *found = place ? holding(place) : NULL;
  if (found) {
    if (found->kind == DEVICE) used[found->card] -= found->size;
    free(place);
    *found = blocks[--num_blocks];
  }
  pthread_mutex_unlock(&lock);
  return 0;
}
int cudaMalloc(void **place, size_t size) { return take(place, size, DEVICE); }
int cudaFree(void *place) { return release(place); }
int cudaHostAlloc(void **place, size_t size, unsigned flags) { return take(place, size, PINNED); }
int cudaFreeHost(void *place) { return release(place); }
int cudaMemGetInfo(size_t *free_, size_t *total) {
  return *total = memory(), *free_ = memory() - used[card], 0;
}
int cudaPointerGetAttributes(struct cudaPointerAttributes *found, const void *place) {
  memset(found, 0, sizeof *found);
  pthread_mutex_lock(&lock);
  struct block *block = holding(place);
  found->type = block ? (enum cudaMemoryType)block->kind : cudaMemoryTypeUnregistered;
  found->device = block ? block->card : -2;
  if (block) found->hostPointer = found->devicePointer = (void *)place;
  pthread_mutex_unlock(&lock);
  return 0;
}

/* Streams and events. */
static struct stream *of(void *handle) {
  return (uintptr_t)handle > 2 ? handle : &streams[card]; /* 1 and 2 are names of the default */
}
void card_settle(void *handle) { /* also called by card.py, before it computes */
  struct stream *stream = of(handle);
  pthread_mutex_lock(&lock);
  struct copy *one = stream->first;
  stream->first = NULL, stream->last = NULL;
  pthread_mutex_unlock(&lock);
  for (struct copy *next; one; one = next) {
    memmove(one->to, one->from, one->size);
    next = one->next;
    free(one);
  }
}
static void settle_all(void) {
  for (int i = 0; i < num_streams; i++) card_settle(i < CARDS ? &streams[i] : (void *)&streams[i]);
}
int cudaMemcpyAsync(void *to, const void *from, size_t size, int direction, void *handle) {
  int one = kind_at(to), other = kind_at(from);
  if (one && other && one != other) {
    struct stream *stream = of(handle);
    struct copy *late = malloc(sizeof *late);
    *late = (struct copy){to, from, size, NULL};
    pthread_mutex_lock(&lock);
    *(stream->last ? stream->last : &stream->first) = late;
    stream->last = &late->next;
    pthread_mutex_unlock(&lock);
    return 0;
  }
  card_settle(handle);
  memmove(to, from, size);
  return 0;
}
int cudaMemcpyPeerAsync(void *to, int a, const void *from, int b, size_t size, void *handle) {
  return cudaMemcpyAsync(to, from, size, 0, handle);
}
int cudaMemcpy(void *to, const void *from, size_t size, int direction) {
  settle_all();
  memmove(to, from, size);
  return 0;
}
int cudaMemsetAsync(void *to, int value, size_t size, void *handle) {
  card_settle(handle);
  memset(to, value, size);
  return 0;
}
int cudaMemset(void *to, int value, size_t size) { return cudaMemsetAsync(to, value, size, NULL); }
int cudaGetSymbolAddress(void **place, const void *symbol) {
  static char room[1 << 16];
  return *place = room, 0;
}
int cudaStreamCreateWithPriority(void **handle, unsigned flags, int priority) {
  if (num_streams == STREAMS) return fail(cudaErrorMemoryAllocation);
  return *handle = &streams[num_streams++], 0;
}
int cudaStreamSynchronize(void *handle) { return card_settle(handle), 0; }
int cudaDeviceSynchronize(void) { return settle_all(), 0; }
int cudaStreamQuery(void *handle) { return of(handle)->first ? cudaErrorNotReady : 0; }
int cudaStreamIsCapturing(void *handle, int *status) { return *status = 0; }
int cudaStreamGetCaptureInfo(void *handle, int *status, void *id, void *graph, void *nodes, void *edges, void *count) {
  return *status = 0;
}
int cudaStreamGetPriority(void *handle, int *priority) { return *priority = 0; }
int cudaThreadExchangeStreamCaptureMode(int *mode) { return 0; }
int cudaEventCreateWithFlags(void **event, unsigned flags) {
  return *event = calloc(1, sizeof(struct event)), 0;
}
int cudaEventDestroy(void *event) { return free(event), 0; }
int cudaEventRecordWithFlags(struct event *event, void *handle, unsigned flags) {
  clock_gettime(CLOCK_MONOTONIC, &event->at);
  return event->stream = of(handle), 0;
}
int cudaEventRecord(struct event *event, void *handle) {
  return cudaEventRecordWithFlags(event, handle, 0);
}
int cudaEventQuery(struct event *event) {
  return event->stream && event->stream->first ? cudaErrorNotReady : 0;
}
int cudaEventSynchronize(struct event *event) {
  if (event->stream) card_settle(event->stream);
  return 0;
}
int cudaStreamWaitEvent(void *handle, struct event *event, unsigned flags) {
  return cudaEventSynchronize(event);
}
int cudaEventElapsedTime(float *milliseconds, struct event *a, struct event *b) {
  *milliseconds = (b->at.tv_sec - a->at.tv_sec) * 1e3f + (b->at.tv_nsec - a->at.tv_nsec) * 1e-6f;
  return 0;
}

/* Kernels. */
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream) {
  return call.grid = grid, call.block = block, call.shared = shared, call.stream = stream, 0;
}
int __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void **stream) {
  return *grid = call.grid, *block = call.block, *shared = call.shared, *stream = call.stream, 0;
}
int cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **given, size_t shared, void *stream) {
  return card_settle(stream), 0;
}
int __cudaLaunchKernel(void *kernel, dim3 grid, dim3 block, void **given, size_t shared, void *stream) {
  return cudaLaunchKernel(kernel, grid, block, given, shared, stream);
}
int cudaFuncGetAttributes(struct cudaFuncAttributes *found, const void *kernel) {
  memset(found, 0, sizeof *found);
  found->maxThreadsPerBlock = 1024, found->numRegs = 32, found->binaryVersion = 10 * capability(0);
  found->ptxVersion = found->binaryVersion, found->maxDynamicSharedSizeBytes = 49152;
  return 0;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *count, const void *kernel, int block, size_t shared) {
  return *count = 2, 0;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *count, const void *kernel, int block, size_t shared, unsigned flags) {
  return *count = 2, 0;
}
static int nothing(void) { return 0; }
int cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version, unsigned long long flags, int *found) {
  *function = (void *)nothing;
  if (found) *found = 0;
  return 0;
}

/* cuBLAS: handles, and products that may find no memory. */
enum { ALLOC_FAILED = 3 };
static int product(int m, int n) {
  long most = setting("CARD_MOST_CELLS", 0);
  return most && (long)m * n > most ? ALLOC_FAILED : 0;
}
static int made(void **handle) { return *handle = calloc(1, 256), 0; }
int cublasCreate_v2(void **handle) { return made(handle); }
int cublasLtMatmulDescCreate(void **handle, int a, int b) { return made(handle); }
int cublasLtMatmulPreferenceCreate(void **handle) { return made(handle); }
int cublasLtMatrixLayoutCreate(long **handle, int type, uint64_t rows, uint64_t columns, int64_t step) {
  made((void **)handle);
  return **handle = (long)(rows * columns), 0;
}
int cublasGetMathMode(void *handle, int *mode) { return *mode = 0; }
int cublasGetPointerMode_v2(void *handle, int *mode) { return *mode = 0; }
int cublasSgemm_v2(void *handle, int a, int b, int m, int n, int k) { return product(m, n); }
int cublasGemmEx(void *handle, int a, int b, int m, int n, int k) { return product(m, n); }
int cublasLtMatmulAlgoGetHeuristic(void *handle, void *d, void *a, void *b, void *c, void *e, void *p, int most, void *results, int *found) {
  return *found = 1, 0;
}

int cublasLtMatmul(void *handle, void *what, void *alpha, void *a, void *of_a, void *b, void *of_b, void *beta, void *c, void *of_c, void *d, long *of_d) {
  return product((int)*of_d, 1);
}

/* The driver, as far as torch and comptool ask it themselves. */
int cuInit(unsigned flags) {
  int count, status = cudaGetDeviceCount(&count);
  error = 0;
  return status == cudaErrorInsufficientDriver ? 0 : status;
}
int cuDeviceGetCount(int *count) { return *count = cards(), 0; }
int cuDriverGetVersion(int *version) { return *version = 13020, 0; }
int cuDeviceGet(int *device, int number) { return *device = number, 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { return *value = 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { return *flags = 0, *active = 1, 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = (void *)1, 0; }
int cuCtxGetCurrent(void **context) { return *context = (void *)1, 0; }
