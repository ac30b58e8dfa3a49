#include "unity.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 80

enum result { PASSED, FAILED, IGNORED };

static test_case *first, *last; /* in the order of registration */
static const test_case *current;
static enum result result;
static int cases, failures, ignored; /* of this run, and failures of all */
static int all_failures;

void unity_testcase_register(test_case *one) {
    if (last) {
        last->next = one;
    } else {
        first = one;
    }
    last = one;
}

/* Only the first thing that happens in a case is reported. */
static bool report(enum result what, int line, const char *word) {
    if (result != PASSED) {
        return false;
    }
    result = what;
    printf("%s:%d:%s:%s", current->file, line, current->name, word);
    return true;
}

void unity_fail(int line, const char *message) {
    if (report(FAILED, line, "FAIL")) {
        printf(":%s\n", message);
    }
}

void unity_ignore(int line, const char *message) {
    if (report(IGNORED, line, "IGNORE")) {
        printf(":%s\n", message);
    }
}

void unity_fail_equal(int line, long long expected, long long actual, const char *message) {
    if (report(FAILED, line, "FAIL")) {
        printf(":Expected %lld Was %lld%s%s\n", expected, actual, message ? ". " : "",
               message ? message : "");
    }
}

static void run(const test_case *one) {
    current = one;
    result = PASSED;
    printf("Running %s...\n", one->name);
    one->function();
    if (report(PASSED, one->line, "PASS")) {
        printf("\n");
    }
    cases++;
    failures += result == FAILED;
    ignored += result == IGNORED;
}

/* Runs the cases that a command names. */
static void run_selected(const char *command) {
    const int number = atoi(command);
    int at = 0;
    cases = failures = ignored = 0;
    for (const test_case *one = first; one; one = one->next) {
        at++;
        if (at == number || strcmp(command, "*") == 0 || (*command == '[' && strstr(one->tags, command))) {
            run(one);
        }
    }
    all_failures += failures;
    printf("\n-----------------------\n%d Tests %d Failures %d Ignored \n%s\n", cases, failures, ignored,
           failures ? "FAIL" : "OK");
}

static void list(void) {
    int number = 0;
    printf("\n\nHere's the test menu, pick your combo:\n");
    for (const test_case *one = first; one; one = one->next) {
        printf("(%d)\t\"%s\" %s\n", ++number, one->name, one->tags);
    }
    printf("\nEnter test for running.\n");
}

/* Reads a line without its end; false at the end of the input. */
static bool read_line(char *text) {
    int length = 0;
    for (;;) {
        const int character = getchar();
        if (character < 0 || character > 127) { /* some consoles give 255 at the end */
            return false;
        }
        if (character == '\n') {
            text[length] = 0;
            return true;
        }
        if (character != '\r' && length < LINE_BYTES - 1) {
            text[length++] = (char)character;
        }
    }
}

void unity_run_menu(void) {
    char line[LINE_BYTES];
#ifndef __XTENSA__
    setvbuf(stdout, NULL, _IOLBF, 0); /* the reader waits for what was printed, also through a pipe */
#endif
    printf("\n\nPress ENTER to see the list of tests.\n");
    while (read_line(line)) {
        if (*line) {
            run_selected(line);
            printf("Enter next test, or 'enter' to see menu\n");
        } else {
            list();
        }
    }
    exit(all_failures ? EXIT_FAILURE : EXIT_SUCCESS);
}
