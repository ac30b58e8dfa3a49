/* The part of Unity that the test apps use, for builds without ESP-IDF: the same names, the same menu and the
 * same lines on the console, which pytest-embedded reads. A failed check leaves the function that it stands
 * in; the case has failed. */
#ifndef UNITY_H
#define UNITY_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct test_case {
    const char *name;
    const char *tags; /* "[group][group]" */
    const char *file;
    int line;
    void (*function)(void);
    struct test_case *next;
} test_case;

void unity_testcase_register(test_case *one);

/* Serves the menu: an empty line lists the cases, a number runs one, [group] a group, * all. At the end of
 * the input the program ends, with exit code 1 where a case has failed. */
void unity_run_menu(void);

void unity_fail(int line, const char *message);
void unity_ignore(int line, const char *message);
void unity_fail_equal(int line, long long expected, long long actual, const char *message);

#define UNITY_JOIN_(a, b) a##b
#define UNITY_JOIN(a, b) UNITY_JOIN_(a, b)

#define TEST_CASE(case_name, case_tags)                                                                      \
    static void UNITY_JOIN(test_function_, __LINE__)(void);                                                  \
    static void __attribute__((constructor)) UNITY_JOIN(test_register_, __LINE__)(void) {                    \
        static test_case one = {                                                                             \
            .name = case_name,                                                                               \
            .tags = case_tags,                                                                               \
            .file = __FILE__,                                                                                \
            .line = __LINE__,                                                                                \
            .function = UNITY_JOIN(test_function_, __LINE__),                                                \
        };                                                                                                   \
        unity_testcase_register(&one);                                                                       \
    }                                                                                                        \
    static void UNITY_JOIN(test_function_, __LINE__)(void)

#define UNITY_STOP_UNLESS(condition, report)                                                                 \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            report;                                                                                          \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

#define TEST_FAIL_MESSAGE(message) UNITY_STOP_UNLESS(0, unity_fail(__LINE__, message))
#define TEST_IGNORE_MESSAGE(message) UNITY_STOP_UNLESS(0, unity_ignore(__LINE__, message))
#define TEST_ASSERT_MESSAGE(condition, message) UNITY_STOP_UNLESS(condition, unity_fail(__LINE__, message))
#define TEST_ASSERT(condition) TEST_ASSERT_MESSAGE(condition, #condition)
#define TEST_ASSERT_TRUE(condition) TEST_ASSERT(condition)
#define TEST_ASSERT_NOT_NULL(pointer) TEST_ASSERT_MESSAGE((pointer) != 0, #pointer " is NULL")
#define TEST_ASSERT_EQUAL_INT_MESSAGE(expected, actual, message)                                             \
    UNITY_STOP_UNLESS((expected) == (actual), unity_fail_equal(__LINE__, (expected), (actual), message))
#define TEST_ASSERT_EQUAL_INT(expected, actual) TEST_ASSERT_EQUAL_INT_MESSAGE(expected, actual, 0)

#ifdef __cplusplus
}
#endif

#endif
