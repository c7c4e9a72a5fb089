/*
 * test_quote.c - a peer's bytes as they may be shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proto/quote.h"

static const char *quoted(const char *bytes)
{
    static char text[256];
    const size_t len = quote_text(text, sizeof(text), bytes, strlen(bytes), NULL);
    assert_int_equal(len, strlen(text));
    return text;
}

static void what_steers_a_terminal_is_not_shown(void **state)
{
    (void)state;
    assert_string_equal(quoted("plain, Größe, 漢字, 🦭"), "plain, Größe, 漢字, 🦭");
    assert_string_equal(quoted("\x1b[2J\x07\r\n\t\x7f"), "?[2J?????");
    assert_string_equal(quoted("\xc2\x9b"
                               "2J \xc2\x85 \xc2\x80"),
                        "?2J ? ?"); /* CSI, NEL of C1 */
    assert_string_equal(quoted("\xe2\x80\xae"
                               "txt.exe"),
                        "?txt.exe"); /* U+202E */
    assert_string_equal(quoted("\xe2\x81\xa6 \xe2\x81\xa9 \xd8\x9c \xe2\x80\x8f"), "? ? ? ?");
    assert_string_equal(quoted("\xe2\x80\xa8 \xef\xbb\xbf"), "? ?");
}

/* Overlong forms and surrogates too: some terminals take them. */
static void what_is_no_utf8_is_not_shown(void **state)
{
    (void)state;
    assert_string_equal(quoted("a\xff"
                               "b\x9b"
                               "c\xc3"),
                        "a?b?c?");
    assert_string_equal(quoted("\xc0\x9b \xc1\xbf \xe0\x80\x9b"), "?? ?? ???");
    assert_string_equal(quoted("\xed\xa0\x80 \xf4\x90\x80\x80"), "??? ????");
    assert_string_equal(quoted("\xc3"
                               "A"),
                        "?A"); /* the next character is not eaten */
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    char text[6];
    assert_int_equal(quote_text(text, sizeof(text), "ab漢字", 8, NULL), 5);
    assert_string_equal(text, "ab漢");
    assert_int_equal(quote_text(text, 5, "ab漢字", 8, NULL), 2);
    assert_string_equal(text, "ab");
    assert_int_equal(quote_text(text, 1, "ab", 2, NULL), 0);
    assert_string_equal(text, "");
}

static void bytes_without_an_end_are_taken_by_their_length(void **state)
{
    (void)state;
    char text[8];
    quote_text(text, sizeof(text), "a\0b", 3, NULL);
    assert_string_equal(text, "a?b");
    quote_text(text, sizeof(text), "\xe6\xbc\xa2", 2, NULL);
    assert_string_equal(text, "??");
}

static void what_a_string_of_json_cannot_have_is_left_out(void **state)
{
    (void)state;
    char text[16];
    quote_text(text, sizeof(text), "a\"b\\c\n漢", 9, "\"\\");
    assert_string_equal(text, "a?b?c?漢");
}

static void it_may_be_written_over_the_bytes(void **state)
{
    (void)state;
    char text[] = "x\xc2\x9by\x1bz";
    quote_text(text, sizeof(text), text, strlen(text), NULL);
    assert_string_equal(text, "x?y?z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_steers_a_terminal_is_not_shown),
        cmocka_unit_test(what_is_no_utf8_is_not_shown),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(bytes_without_an_end_are_taken_by_their_length),
        cmocka_unit_test(what_a_string_of_json_cannot_have_is_left_out),
        cmocka_unit_test(it_may_be_written_over_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
