/* A test program for both chips: sorting, SHA-256, float maths, printf. Its output must equal the host's. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- random numbers */

static uint32_t random_state = 12345;

static uint32_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* ---------------------------------------------------------------- sorting */

enum { COUNT = 500 };

static void swap(int32_t *a, int32_t *b) {
    int32_t keep = *a;
    *a = *b;
    *b = keep;
}

static void insertion_sort(int32_t *values, int count) {
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && values[j - 1] > values[j]; j--)
            swap(&values[j - 1], &values[j]);
}

static void sift_down(int32_t *values, int root, int count) {
    for (;;) {
        int child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count && values[child] < values[child + 1])
            child++;
        if (values[root] >= values[child])
            return;
        swap(&values[root], &values[child]);
        root = child;
    }
}

static void heap_sort(int32_t *values, int count) {
    for (int i = count / 2 - 1; i >= 0; i--)
        sift_down(values, i, count);
    for (int end = count - 1; end > 0; end--) {
        swap(&values[0], &values[end]);
        sift_down(values, 0, end);
    }
}

static void quick_sort(int32_t *values, int low, int high) {
    while (low < high) {
        int32_t pivot = values[(low + high) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j)
                swap(&values[i++], &values[j--]);
        }
        quick_sort(values, low, j);
        low = i;
    }
}

static int compare(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t fold(const int32_t *values, int count) {
    uint32_t sum = 2166136261u;
    for (int i = 0; i < count; i++)
        sum = (sum ^ (uint32_t)values[i]) * 16777619u;
    return sum;
}

static void test_sorting(void) {
    static int32_t original[COUNT], work[COUNT];
    for (int i = 0; i < COUNT; i++)
        original[i] = (int32_t)next_random();
    memcpy(work, original, sizeof work);
    insertion_sort(work, COUNT);
    printf("insertion sort %08lx, smallest %ld\n", (unsigned long)fold(work, COUNT), (long)work[0]);
    memcpy(work, original, sizeof work);
    heap_sort(work, COUNT);
    printf("heap sort      %08lx, largest %ld\n", (unsigned long)fold(work, COUNT), (long)work[COUNT - 1]);
    memcpy(work, original, sizeof work);
    quick_sort(work, 0, COUNT - 1);
    printf("quick sort     %08lx, median %ld\n", (unsigned long)fold(work, COUNT), (long)work[COUNT / 2]);
    memcpy(work, original, sizeof work);
    qsort(work, COUNT, sizeof *work, compare);
    printf("library sort   %08lx\n", (unsigned long)fold(work, COUNT));
}

/* ---------------------------------------------------------------- SHA-256 */

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, int by) {
    return value >> by | value << (32 - by);
}

static void sha256_block(uint32_t state[8], const uint8_t *block) {
    uint32_t words[64], s[8];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + words[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) +
                      round_constants[i] + words[i];
        uint32_t t2 =
            (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static void sha256(const uint8_t *data, uint32_t size, char text[65]) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[128] = {0};
    uint32_t whole = size / 64 * 64, rest = size - whole, padded = rest < 56 ? 64 : 128;
    for (uint32_t i = 0; i < whole; i += 64)
        sha256_block(state, data + i);
    memcpy(last, data + whole, rest);
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++)
        last[padded - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    for (uint32_t i = 0; i < padded; i += 64)
        sha256_block(state, last + i);
    for (int i = 0; i < 8; i++)
        sprintf(text + 8 * i, "%08lx", (unsigned long)state[i]);
}

static void test_hash(void) {
    static uint8_t data[3000];
    char text[65];
    sha256((const uint8_t *)"abc", 3, text);
    printf("sha256 abc     %s\n", text);
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)next_random();
    for (uint32_t size = 0; size <= sizeof data; size += 375) {
        sha256(data, size, text);
        printf("sha256 %4lu    %s\n", (unsigned long)size, text);
    }
}

/* ---------------------------------------------------------------- floats */

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/* A polynomial with one rounding per operation, so that every machine agrees to the bit. */
static float sine(float x) {
    volatile float square = x * x, sum = 1.0f;
    for (int n = 9; n >= 3; n -= 2) {
        volatile float quotient = square / (float)(n * (n - 1));
        volatile float product = quotient * sum;
        sum = 1.0f - product;
    }
    return x * sum;
}

static float newton_root(float value) {
    volatile float root = value > 1.0f ? value : 1.0f;
    for (int i = 0; i < 40; i++) {
        volatile float quotient = value / root;
        volatile float both = root + quotient;
        root = 0.5f * both;
    }
    return root;
}

static void test_floats(void) {
    for (int i = -4; i <= 4; i++) {
        float x = (float)i * 0.375f;
        printf("sine(%7.4f) = %9.6f (%08lx)\n", (double)x, (double)sine(x), (unsigned long)bits_of(sine(x)));
    }
    for (int i = 1; i <= 6; i++)
        printf("root(%d) = %.6f %08lx %d\n", i, (double)newton_root((float)i),
               (unsigned long)bits_of(sqrtf((float)i)), (int)(newton_root((float)i) * 1000.0f));
    double sum = 0.0;
    for (int i = 1; i <= 1000; i++)
        sum += 1.0 / ((double)i * (double)i);
    printf("sum of 1/n^2 = %.12f\n", sum);
    static float matrix[3][8][8];
    for (int i = 0; i < 64; i++) {
        matrix[0][i / 8][i % 8] = (float)(int32_t)(next_random() % 2001) - 1000.0f;
        matrix[1][i / 8][i % 8] = ((float)(next_random() % 1000) - 500.0f) / 8.0f;
    }
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) {
            volatile float total = 0.0f;
            for (int k = 0; k < 8; k++) {
                volatile float product = matrix[0][i][k] * matrix[1][k][j];
                total = total + product;
            }
            matrix[2][i][j] = total;
        }
    uint32_t all = 2166136261u;
    for (int i = 0; i < 64; i++)
        all = (all ^ bits_of(matrix[2][i / 8][i % 8])) * 16777619u;
    printf("matrix %08lx corner %.3f\n", (unsigned long)all, (double)matrix[2][7][7]);
    printf("%e %g %.3e %10.3f|%-10.2f|\n", 1234567.0, 0.0001, -2.5e-7, 3.14159, 2.71828);
}

/* ---------------------------------------------------------------- integers and text */

static uint32_t greatest_divisor(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int depth_of(int n) {
    return n <= 1 ? 1 : depth_of(n - 1) + depth_of(n - 2);
}

static void test_integers(void) {
    for (int i = 0; i < 8; i++) {
        uint32_t a = next_random(), b = next_random() >> 8;
        int32_t s = (int32_t)next_random(), t = (int32_t)(next_random() % 1000) - 500;
        if (t == 0)
            t = 7;
        printf("%10lu %% %8lu = %8lu, gcd %lu; %11ld / %4ld = %9ld rest %4ld\n", (unsigned long)a,
               (unsigned long)b, (unsigned long)(a % b), (unsigned long)greatest_divisor(a, b), (long)s,
               (long)t, (long)(s / t), (long)(s % t));
    }
    uint64_t product = 1;
    for (int i = 1; i <= 20; i++)
        product *= (uint64_t)i;
    printf("20! = %08lx%08lx, fold(20) = %d\n", (unsigned long)(product >> 32),
           (unsigned long)(product & 0xffffffffu), depth_of(20));
    char text[80] = "";
    for (int i = 0; i < 10; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%c%x.", 'a' + i, i * i);
    printf("%s %-6d|%+d|%06d|%5s|%.2s\n", text, 42, 42, -42, "ab", "xyz");
}

/* ---------------------------------------------------------------- memory and function pointers */

typedef struct Node {
    struct Node *next;
    int key;
    char name[6];
} Node;

static int by_key(const Node *a, const Node *b) {
    return a->key - b->key;
}
static int by_name(const Node *a, const Node *b) {
    return strcmp(a->name, b->name);
}

static Node *insert(Node *list, Node *node, int (*order)(const Node *, const Node *)) {
    Node **place = &list;
    while (*place && order(*place, node) < 0)
        place = &(*place)->next;
    node->next = *place;
    *place = node;
    return list;
}

static void test_lists(void) {
    int (*const orders[])(const Node *, const Node *) = {by_key, by_name};
    for (int which = 0; which < 2; which++) {
        Node *list = NULL;
        for (int i = 0; i < 8; i++) {
            Node *node = malloc(sizeof *node);
            node->key = (int)(next_random() % 100);
            for (int j = 0; j < 5; j++)
                node->name[j] = (char)('a' + next_random() % 26);
            node->name[5] = 0;
            list = insert(list, node, orders[which]);
        }
        while (list) {
            Node *node = list;
            printf("%d:%s ", node->key, node->name);
            list = node->next;
            free(node);
        }
        printf("\n");
    }
}

int main(void) {
    test_sorting();
    test_hash();
    test_floats();
    test_integers();
    test_lists();
    return 42;
}
