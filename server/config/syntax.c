/*
 * syntax.c - see syntax.h. The text is cut into tokens, each with the line it begins in; then the
 * tokens are read. Where one construct is not closed, the line to name is the one it began in.
 */
#include "server/config/syntax.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEE "; see sealnfs.conf(5) for the syntax"

enum token_kind { TOKEN_WORD, TOKEN_STRING, TOKEN_PUNCT, TOKEN_END };
enum { UNCLOSED = '"' };

struct token {
    enum token_kind kind;
    char punct; /* { } = , and a string that is not closed: UNCLOSED */
    unsigned line;
    const char *text;
};

struct scanner {
    const struct syntax_events *events;
    const char *at, *end;
    unsigned line;
    char *text; /* where the next token's text goes; there is room for all */
    struct token *tokens;
    size_t count, room;
};

/* ---- from text to tokens ---- */

static bool add_token(struct scanner *s, enum token_kind kind, char punct, const char *text,
                      unsigned line)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        struct token *tokens = realloc(s->tokens, room * sizeof(*tokens));
        if (!tokens)
            return false;
        s->tokens = tokens;
        s->room = room;
    }
    s->tokens[s->count++] =
        (struct token){.kind = kind, .punct = punct, .line = line, .text = text};
    return true;
}

static bool next_is(const struct scanner *s, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(s->end - s->at) >= len && memcmp(s->at, text, len) == 0;
}

static void skip_long_comment(struct scanner *s)
{
    unsigned began = s->line;

    for (s->at += 2; s->at < s->end; s->at++) {
        if (next_is(s, "*/")) {
            s->at += 2;
            return;
        }
        s->line += *s->at == '\n';
    }
    s->events->on_mistake(s->events->context, began,
                          "a comment is not closed; add */ at its end" SEE);
}

/* False: the end, or what stands here is a token. */
static bool skip_blank(struct scanner *s)
{
    if (s->at >= s->end)
        return false;
    if (*s->at == '\n') {
        s->line++;
        s->at++;
    } else if (*s->at == ' ' || *s->at == '\t' || *s->at == '\r') {
        s->at++;
    } else if (*s->at == '#' || next_is(s, "//")) {
        while (s->at < s->end && *s->at != '\n')
            s->at++;
    } else if (next_is(s, "/*")) {
        skip_long_comment(s);
    } else {
        return false;
    }
    return true;
}

static bool scan_string(struct scanner *s)
{
    const char quote = *s->at++;
    const char *text = s->text;
    const unsigned began = s->line;
    char unclosed = 0;

    while (s->at < s->end && *s->at != quote && *s->at != '\n') {
        if (*s->at == '\\' && s->at + 1 < s->end && *++s->at == '\n') {
            s->line++;
            s->at++;
        } else {
            *s->text++ = *s->at++;
        }
    }
    *s->text++ = '\0';
    if (s->at < s->end && *s->at == quote) {
        s->at++;
    } else {
        s->events->on_mistake(s->events->context, began,
                              "a string is not closed; add a quote at its end" SEE);
        unclosed = UNCLOSED;
    }
    return add_token(s, TOKEN_STRING, unclosed, text, began);
}

static bool scan_word(struct scanner *s)
{
    const char *text = s->text;

    do
        *s->text++ = *s->at++;
    while (s->at < s->end && !strchr(" \t\r\n\"'{}=,#", *s->at));
    *s->text++ = '\0';
    return add_token(s, TOKEN_WORD, 0, text, s->line);
}

static bool scan_tokens(struct scanner *s)
{
    bool ok = true;

    while (ok) {
        while (skip_blank(s))
            ;
        if (s->at >= s->end)
            return add_token(s, TOKEN_END, 0, "", s->line);
        if (*s->at == '"' || *s->at == '\'') {
            ok = scan_string(s);
        } else if (strchr("{}=,", *s->at)) {
            ok = add_token(s, TOKEN_PUNCT, *s->at, "", s->line);
            s->at++;
        } else {
            ok = scan_word(s);
        }
    }
    return false;
}

/* ---- from tokens to options ---- */

struct parser {
    const struct syntax_events *events;
    const struct token *at;      /* the last is TOKEN_END */
    unsigned export_line;        /* 0: not in an export */
    struct syntax_value *values; /* room for every token */
};

static bool is_punct(const struct token *token, char punct)
{
    return token->kind == TOKEN_PUNCT && token->punct == punct;
}

static bool is_text(const struct token *token)
{
    return token->kind == TOKEN_WORD || token->kind == TOKEN_STRING;
}

/* `name =`, or the head of an export: no value, if one is due here. */
static bool begins_setting(const struct token *token)
{
    return token->kind == TOKEN_WORD &&
           (is_punct(token + 1, '=') ||
            (strcmp(token->text, "export") == 0 && token[1].kind == TOKEN_STRING));
}

static void tell_mistake(const struct parser *p, unsigned line, const char *name, const char *what)
{
    char text[512];

    snprintf(text, sizeof(text), "%.128s%s%s" SEE, name, name[0] ? ": " : "", what);
    p->events->on_mistake(p->events->context, line, text);
}

/* What is left of a line that was not understood. */
static void skip_line(struct parser *p)
{
    unsigned line = p->at->line;

    while (p->at->kind != TOKEN_END && p->at->line == line && !is_punct(p->at, '}'))
        p->at++;
}

static size_t parse_list(struct parser *p, const struct token *name)
{
    const unsigned began = p->at->line;
    size_t count = 0;
    bool comma = true;

    for (p->at++; !is_punct(p->at, '}'); p->at++) {
        if (p->at->kind == TOKEN_END || begins_setting(p->at) || is_punct(p->at, '{') ||
            is_punct(p->at, '=')) {
            tell_mistake(p, began, name->text, "a list is not closed; add } after its last value");
            return count;
        }
        if (is_punct(p->at, ',')) {
            comma = true;
            continue;
        }
        if (!comma)
            tell_mistake(p, p->at->line, name->text,
                         "a comma is missing before this value; add it");
        comma = false;
        p->values[count++] = (struct syntax_value){p->at->text, p->at->line};
        if (p->at->punct == UNCLOSED) /* so is the } that it took in */
            break;
    }
    p->at++;
    return count;
}

static void parse_option(struct parser *p)
{
    const struct token *name = p->at;
    struct syntax_option option = {
        .name = name->text, .line = name->line, .values = p->values, .count = 1};

    p->at += 2;
    if (is_punct(p->at, '{')) {
        option.is_list = true;
        option.count = parse_list(p, name);
    } else if (is_text(p->at) && !begins_setting(p->at)) {
        p->values[0] = (struct syntax_value){p->at->text, p->at->line};
        p->at++;
    } else {
        tell_mistake(p, name->line, name->text, "there is no value; write one behind the =");
        return;
    }
    p->events->on_option(p->events->context, &option);
}

static void end_export(struct parser *p)
{
    p->export_line = 0;
    p->events->on_export_end(p->events->context);
}

static void end_open_export(struct parser *p)
{
    if (p->export_line == 0)
        return;
    tell_mistake(p, p->export_line, "export", "it is not closed; add } after its last option");
    end_export(p);
}

static void parse_export(struct parser *p)
{
    const struct token *head = p->at++, *name = is_text(p->at) ? p->at++ : NULL;

    end_open_export(p);
    if (!is_punct(p->at, '{')) {
        tell_mistake(p, head->line, "export", "there is no { behind its name; add it");
    } else {
        p->at++;
    }
    p->export_line = head->line;
    p->events->on_export(p->events->context, name ? name->text : "", head->line);
}

static void parse_tokens(struct parser *p)
{
    while (p->at->kind != TOKEN_END) {
        if (is_punct(p->at, '}') && p->export_line != 0) {
            p->at++;
            end_export(p);
        } else if (is_punct(p->at, '}')) {
            tell_mistake(p, p->at->line, "", "a } closes nothing; take it out");
            p->at++;
        } else if (p->at->kind == TOKEN_WORD && is_punct(p->at + 1, '=')) {
            parse_option(p);
        } else if (p->at->kind == TOKEN_WORD && strcmp(p->at->text, "export") == 0) {
            parse_export(p);
        } else {
            tell_mistake(p, p->at->line, p->at->text,
                         p->at->kind == TOKEN_WORD ? "there is no = behind it; write NAME = VALUE"
                                                   : "this does not belong here; take it out");
            skip_line(p);
        }
    }
    end_open_export(p);
}

/* What follows is told of no more: the file is not what it should be. */
static bool has_zero_byte(const char *text, size_t len, const struct syntax_events *events)
{
    const char *zero = memchr(text, '\0', len);
    unsigned line = 1;

    for (const char *p = text; zero && p < zero; p++)
        line += *p == '\n';
    if (zero)
        events->on_mistake(events->context, line,
                           "there is a zero byte, which no text has; write the file anew" SEE);
    return zero;
}

int syntax_read(const char *text, size_t len, const struct syntax_events *events)
{
    char *texts; /* a token of n bytes takes at most n + 1 of it */
    struct scanner scanner = {.events = events, .at = text, .end = text + len, .line = 1};
    struct parser parser = {.events = events};
    int error = -ENOMEM;

    if (has_zero_byte(text, len, events))
        return 0;
    scanner.text = texts = malloc(2 * len + 1);
    if (texts && scan_tokens(&scanner)) {
        parser.at = scanner.tokens;
        parser.values = calloc(scanner.count, sizeof(*parser.values));
        if (parser.values) {
            parse_tokens(&parser);
            error = 0;
        }
    }
    free(parser.values);
    free(scanner.tokens);
    free(texts);
    return error;
}
