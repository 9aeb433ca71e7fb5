/* The calls of ISA-L that the benchmark compares with, in loops, on buffers the caller gives. Each returns the nanoseconds its loop took. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef void (*encode_call)(int length, int k, int rows, unsigned char *tables, unsigned char **from, unsigned char **into);
typedef unsigned int (*crc_call)(unsigned char *bytes, int length, unsigned int seed);

static encode_call encode;
static crc_call crc;
static volatile unsigned int sink;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* 0 if both calls were found in the library with this absolute path. */
int loop_open(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  if (library == NULL) return 1;
  encode = (encode_call)dlsym(library, "ec_encode_data");
  crc = (crc_call)dlsym(library, "crc32_iscsi");
  return encode == NULL || crc == NULL;
}

uint64_t loop_encode(int length, int k, int rows, unsigned char *tables, unsigned char **from, unsigned char **into, int times) {
  uint64_t start = now();
  for (int i = 0; i < times; i++) encode(length, k, rows, tables, from, into);
  return now() - start;
}

uint64_t loop_crc(unsigned char *bytes, int length, int times) {
  uint64_t start = now();
  for (int i = 0; i < times; i++) sink = crc(bytes, length, 0xffffffffu);
  return now() - start;
}
