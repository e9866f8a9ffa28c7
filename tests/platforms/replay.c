/* Runs a fuzz target of csrc/fuzz over the inputs of a corpus (tests/data/corpora), in several threads at once.
 *
 *   cc -pthread -Icsrc csrc/http1.c csrc/fuzz/http1_fuzz.c tests/platforms/replay.c -o replay
 *   ./replay tests/data/corpora/http1.hex 4
 *
 * For processors that have no libFuzzer, and for the thread sanitizer: the C files keep nothing between two calls.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 65536
#define MOST_THREADS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    uint8_t *data;
    size_t size;
} input;

static input *inputs;
static size_t count;

static void add(const char *line, size_t digits)
{
    input *one;
    size_t i;
    inputs = realloc(inputs, (count + 1) * sizeof(*inputs));
    if (inputs == NULL)
        abort();
    one = &inputs[count++];
    one->size = digits / 2;
    one->data = malloc(one->size ? one->size : 1);
    if (one->data == NULL)
        abort();
    for (i = 0; i < one->size; i++) {
        const char pair[3] = {line[2 * i], line[2 * i + 1], 0};
        one->data[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void *run(void *unused)
{
    size_t i;
    for (i = 0; i < count; i++)
        (void)LLVMFuzzerTestOneInput(inputs[i].data, inputs[i].size);
    return unused;
}

int main(int argc, char **argv)
{
    static char line[LONGEST];
    pthread_t threads[MOST_THREADS];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    const int wanted = argc > 2 ? atoi(argv[2]) : 1;
    int i;
    if (file == NULL || wanted < 1 || wanted > MOST_THREADS)
        return 2;
    while (fgets(line, sizeof(line), file) != NULL)
        add(line, strcspn(line, "\r\n"));
    (void)fclose(file);
    for (i = 0; i < wanted; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            return 3;
    for (i = 0; i < wanted; i++)
        (void)pthread_join(threads[i], NULL);
    printf("%zu inputs in %d threads\n", count, wanted);
    return count ? 0 : 4;
}
