/*
 * The members of our structures have the names, and on the wire the order, that the RFCs' XDR gives
 * them: what the comparison of bytes in test_oracle.c cannot see when two neighbours have the same
 * size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/layout/block_wire.h"
#include "proto/layout/rdma_wire.h"
#include "proto/layout/scsi_wire.h"
#include "proto/nfs4/wire.h"

enum { TOKEN = 80, SEEN_MAX = 512 };

/* An .x file without comments and %-lines. */
struct source {
    char *text;
};

/* Blanks out what is not XDR. */
static void strip(char *text)
{
    bool line_start = true;

    for (char *c = text; *c != '\0'; c++) {
        if (line_start && *c == '%') {
            while (*c != '\0' && *c != '\n')
                *c++ = ' ';
        } else if (c[0] == '/' && c[1] == '*') {
            while (!(c[0] == '*' && c[1] == '/')) {
                *c = ' ';
                c++;
            }
            c[0] = c[1] = ' ';
        }
        line_start = *c == '\n';
        if (*c == '\0')
            break;
    }
}

static struct source load(const char *path)
{
    FILE *file = fopen(path, "r");
    struct source source = {calloc(1, 1 << 18)};

    assert_non_null(file);
    assert_non_null(source.text);
    assert_in_range(fread(source.text, 1, (1 << 18) - 1, file), 1000, (1 << 18) - 2);
    fclose(file);
    strip(source.text);
    return source;
}

/* The next name or punctuation mark at *at. False at the end. */
static bool next(const char **at, char token[TOKEN])
{
    size_t n = 0;

    while (isspace((unsigned char)**at))
        (*at)++;
    if (**at == '\0')
        return false;
    if (!isalnum((unsigned char)**at) && **at != '_') {
        token[n++] = *(*at)++;
    } else {
        while ((isalnum((unsigned char)**at) || **at == '_') && n < TOKEN - 1)
            token[n++] = *(*at)++;
    }
    token[n] = '\0';
    return true;
}

static const char *expect(const char *at, const char *want)
{
    char token[TOKEN];

    assert_true(next(&at, token));
    assert_string_equal(token, want);
    return at;
}

/* Finds "keyword name" and returns what follows; NULL when there is none. */
static const char *find(const struct source *source, const char *keyword, const char *name)
{
    char token[TOKEN];
    const char *at = source->text;
    bool after_keyword = false;

    while (next(&at, token)) {
        if (after_keyword && strcmp(token, name) == 0)
            return at;
        after_keyword = strcmp(token, keyword) == 0;
    }
    return NULL;
}

/* Reads "type name<bound>;", gives the name; "void" for void. Returns what follows. */
static const char *declaration(const char *at, char name[TOKEN])
{
    char token[TOKEN];
    bool named = false;

    assert_true(next(&at, name));
    if (strcmp(name, "void") == 0)
        return expect(at, ";");
    while (next(&at, token) && strcmp(token, ";") != 0) {
        if (strcmp(token, "<") == 0 || strcmp(token, "[") == 0)
            named = true;
        if (!named && strcmp(token, "*") != 0)
            memcpy(name, token, TOKEN);
    }
    return at;
}

/* The value of an enumerator, a boolean, or an RPC flavor, which the RFC takes from elsewhere. */
static uint32_t label_value(const struct source *source, const char *label)
{
    static const struct {
        const char *name;
        uint32_t value;
    } others[] = {{"TRUE", 1},
                  {"FALSE", 0},
                  {"AUTH_NONE", RPC_AUTH_NONE},
                  {"AUTH_SYS", 1},
                  {"RPCSEC_GSS", 6},
                  {"LAYOUT4_RET_REC_FILE", 1},
                  {"LAYOUT4_RET_REC_FSID", 2},
                  {"LAYOUT4_RET_REC_ALL", 3}};
    char token[TOKEN];
    char value[TOKEN];
    const char *at = source->text;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(label, others[i].name) == 0)
            return others[i].value;
    }
    while (next(&at, token)) {
        if (strcmp(token, label) == 0 && next(&at, token) && strcmp(token, "=") == 0 &&
            next(&at, value))
            return isdigit((unsigned char)value[0]) ? (uint32_t)strtoul(value, NULL, 0)
                                                    : label_value(source, value);
    }
    fail_msg("no value for %s", label);
    return 0;
}

static void check_struct(const struct wire_type *type, const char *at)
{
    char name[TOKEN];

    at = expect(at, "{");
    for (unsigned i = 0; i < type->fields_count; i++) {
        at = declaration(at, name);
        if (strstr(name, "status") != NULL && strcmp(type->fields[i].name, "status") == 0)
            continue;
        if (strcmp(name, type->fields[i].name) != 0)
            fail_msg("%s: field %u is %s in the RFC, %s here", type->name, i, name,
                     type->fields[i].name);
    }
    expect(at, "}");
}

static const struct wire_arm *arm_for(const struct wire_type *type, bool is_default, uint32_t value)
{
    for (unsigned i = 0; i < type->arms_count; i++) {
        if (type->arms[i].is_default || (!is_default && type->arms[i].value == value))
            return &type->arms[i];
    }
    return NULL;
}

/* One label of the RFC's union leads to the same content here. */
static void check_label(const struct source *source, const struct wire_type *type,
                        const char *label, const char *body)
{
    bool is_default = strcmp(label, "default") == 0;
    const struct wire_arm *arm =
        arm_for(type, is_default, is_default ? 0 : label_value(source, label));
    const char *ours;

    if (arm == NULL)
        fail_msg("%s: no arm for %s", type->name, label);
    ours = arm->body.kind == WIRE_KIND_VOID ? "void" : arm->body.name;
    if (strcmp(ours, body) != 0)
        fail_msg("%s: %s is %s in the RFC, %s here", type->name, label, body, ours);
}

static void check_union(const struct source *source, const struct wire_type *type, const char *at)
{
    char labels[8][TOKEN];
    char token[TOKEN];
    char body[TOKEN];
    unsigned count = 0;
    unsigned seen = 0;

    while (next(&at, token) && strcmp(token, "{") != 0)
        ;
    for (;;) {
        const char *before = at;

        assert_true(next(&at, token));
        if (strcmp(token, "}") == 0)
            break;
        if (strcmp(token, "case") == 0 || strcmp(token, "default") == 0) {
            assert_true(count < 8);
            if (strcmp(token, "case") == 0)
                assert_true(next(&at, labels[count++]));
            else
                memcpy(labels[count++], token, TOKEN);
            at = expect(at, ":");
            continue;
        }
        at = declaration(before, body);
        for (; count > 0; count--, seen++)
            check_label(source, type, labels[count - 1], body);
    }
    assert_in_range(seen, type->arms_count, 64);
}

/* Our own shapes for what the RFC writes as a typedef, and elements of arrays. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {
        "SECINFO4resok", "SECINFO_NO_NAME4args", "uint32_t", "opaque", "deviceid4", "void",
        "status"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

struct walk {
    const struct source *source;
    const struct wire_type *seen[SEEN_MAX];
    unsigned count;
};

static void add(struct walk *walk, const struct wire_type *type)
{
    if (type == NULL || type->decode != NULL)
        return;
    for (unsigned i = 0; i < walk->count; i++) {
        if (walk->seen[i] == type)
            return;
    }
    assert_true(walk->count < SEEN_MAX);
    walk->seen[walk->count++] = type;
}

static void check_type(struct walk *walk, const struct wire_type *type)
{
    const char *at = find(walk->source, type->arms_count > 0 ? "union" : "struct", type->name);

    for (unsigned i = 0; i < type->fields_count; i++)
        add(walk, type->fields[i].type);
    for (unsigned i = 0; i < type->arms_count; i++)
        add(walk, type->arms[i].body.type);
    if (is_ours(type->name))
        return;
    if (at == NULL)
        fail_msg("%s is not in the RFC", type->name);
    if (type->arms_count > 0)
        check_union(walk->source, type, at);
    else
        check_struct(type, at);
}

static void check_all(struct walk *walk)
{
    for (unsigned i = 0; i < walk->count; i++)
        check_type(walk, walk->seen[i]);
}

static void nfs4_structures_have_the_names_and_order_of_rfc_5662(void **state)
{
    struct source source = load(ORACLE_DIR "/nfs4_prot.x");
    struct walk walk = {.source = &source};

    (void)state;
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++) {
        add(&walk, nfs4_wire_op(op)->args);
        add(&walk, nfs4_wire_op(op)->res);
    }
    for (uint32_t op = NFS4_CB_OP_FIRST; op <= NFS4_CB_OP_LAST; op++) {
        add(&walk, nfs4_wire_cb_op(op)->args);
        add(&walk, nfs4_wire_cb_op(op)->res);
    }
    for (unsigned attr = 0; attr <= FATTR4_LAST; attr++) {
        if (nfs4_wire_attr(attr) != NULL)
            add(&walk, nfs4_wire_attr(attr)->type);
    }
    check_all(&walk);
    assert_in_range(walk.count, 150, SEEN_MAX);
    free(source.text);
}

static void block_structures_have_the_names_and_order_of_rfc_5663(void **state)
{
    struct source source = load(ORACLE_DIR "/pnfs_block_prot.x");
    struct walk walk = {.source = &source};

    (void)state;
    add(&walk, &wire_pnfs_block_deviceaddr4);
    add(&walk, &wire_pnfs_block_layout4);
    add(&walk, &wire_pnfs_block_layoutupdate4);
    add(&walk, &wire_pnfs_block_layouthint4);
    check_all(&walk);
    free(source.text);
}

/* What it takes from NFSv4.1 (netaddr4) stands behind it. */
static struct source load_rdma_layout(void)
{
    struct source ours = load(RDMA_ORACLE_DIR "/rdma_layout_prot.x");
    struct source nfs4 = load(ORACLE_DIR "/nfs4_prot.x");
    struct source both = {calloc(1, strlen(ours.text) + strlen(nfs4.text) + 1)};

    assert_non_null(both.text);
    strcpy(stpcpy(both.text, ours.text), nfs4.text);
    free(ours.text);
    free(nfs4.text);
    return both;
}

static void rdma_structures_have_the_names_and_order_of_their_page(void **state)
{
    struct source source = load_rdma_layout();
    struct walk walk = {.source = &source};

    (void)state;
    add(&walk, &wire_rdma_deviceaddr4);
    add(&walk, &wire_rdma_layout4);
    add(&walk, &wire_rdma_layoutupdate4);
    add(&walk, &wire_rdma_hello4);
    add(&walk, &wire_rdma_refused4);
    check_all(&walk);
    free(source.text);
}

static void scsi_structures_have_the_names_and_order_of_rfc_8154(void **state)
{
    struct source source = load(ORACLE_DIR "/pnfs_scsi_prot.x");
    struct walk walk = {.source = &source};

    (void)state;
    add(&walk, &wire_pnfs_scsi_deviceaddr4);
    add(&walk, &wire_pnfs_scsi_layoutupdate4);
    check_all(&walk);
    free(source.text);
}

static void rdma_constants_have_the_values_of_their_page(void **state)
{
    struct source source = load_rdma_layout();

    (void)state;
    assert_int_equal(label_value(&source, "LAYOUT4_SEALNFS_RDMA"), LAYOUT4_SEALNFS_RDMA);
    assert_int_equal(label_value(&source, "RDMA_LAYOUT_VERSION"), RDMA_LAYOUT_VERSION);
    assert_int_equal(label_value(&source, "RDMA_SECRET_SIZE"), RDMA_SECRET_SIZE);
    assert_int_equal(label_value(&source, "RDMA_TAG_SIZE"), RDMA_TAG_SIZE);
    assert_int_equal(label_value(&source, "RDMA_LAYOUT_MAX_ADDRS"), RDMA_LAYOUT_MAX_ADDRS);
    assert_int_equal(label_value(&source, "RDMA_LAYOUT_MAX_EXTENTS"), RDMA_LAYOUT_MAX_EXTENTS);
    assert_int_equal(label_value(&source, "RDMA_DURABLE_BY_COMMIT"), RDMA_DURABLE_BY_COMMIT);
    assert_int_equal(label_value(&source, "RDMA_REFUSED_VERSION"), RDMA_REFUSED_VERSION);
    assert_int_equal(label_value(&source, "RDMA_REFUSED_NOT_ADMITTED"), RDMA_REFUSED_NOT_ADMITTED);
    assert_int_equal(label_value(&source, "RDMA_REFUSED_BUSY"), RDMA_REFUSED_BUSY);
    free(source.text);
}

/* Every constant of the RFC has its value here too. */
static void names_of_operations_and_attributes_match_their_numbers(void **state)
{
    struct source source = load(ORACLE_DIR "/nfs4_prot.x");

    (void)state;
    for (uint32_t op = NFS4_OP_FIRST; op <= NFS4_OP_LAST; op++)
        assert_int_equal(label_value(&source, nfs4_op_name(op)), op);
    for (uint32_t op = NFS4_CB_OP_FIRST; op <= NFS4_CB_OP_LAST; op++)
        assert_int_equal(label_value(&source, nfs4_cb_op_name(op)), op);
    for (uint32_t attr = 0; attr <= FATTR4_LAST; attr++)
        assert_int_equal(label_value(&source, nfs4_attr_name(attr)), attr);
    for (unsigned status = 0; status <= NFS4ERR_DELEG_REVOKED; status++) {
        const char *name = nfs4_status_name((nfsstat4)status);

        if (strcmp(name, "NFS4ERR_UNKNOWN") != 0)
            assert_int_equal(label_value(&source, name), status);
    }
    assert_string_equal(nfs4_op_name(2), "OP_UNKNOWN");
    assert_string_equal(nfs4_op_name(OP_ILLEGAL), "OP_ILLEGAL");
    assert_string_equal(nfs4_cb_op_name(15), "OP_CB_UNKNOWN");
    assert_string_equal(nfs4_attr_name(77), "FATTR4_UNKNOWN");
    free(source.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nfs4_structures_have_the_names_and_order_of_rfc_5662),
        cmocka_unit_test(block_structures_have_the_names_and_order_of_rfc_5663),
        cmocka_unit_test(rdma_structures_have_the_names_and_order_of_their_page),
        cmocka_unit_test(rdma_constants_have_the_values_of_their_page),
        cmocka_unit_test(scsi_structures_have_the_names_and_order_of_rfc_8154),
        cmocka_unit_test(names_of_operations_and_attributes_match_their_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
