/* The main job: load, optimize, compare with the source, write. Nothing is written that differs from the
 * source. */
#include <string.h>

#include "tool.h"

typedef enum { VERIFY_AUTO, VERIFY_FULL, VERIFY_STRICT } Extent;

typedef struct {
    Run *run;
    TgModel *source, *model;
    Emit emit;
    TgExternal external;
    TgOptimizeOptions options;
    TgReport report;
    int64_t seed;
    Extent extent;
    TgChecker *checker; /* NULL: --no-verify */
    TgTrace trace;
    uint32_t untold; /* steps of it without their regions: too large */
    TgEquivResult equiv;
    TgConvert convert; /* to: TG_undefined, not at all */
    TgDtype weights;   /* --weights: TG_undefined, as they are */
    bool strict;       /* --math */
    Conversion conversion;
    Summary summary;
    TgcReport package; /* EMIT_C */
    uint64_t arena_bytes, floor_bytes;
} Job;

static void print_to_stderr(void *user, const char *text)
{
    (void)user;
    fputs(text, stderr);
}

/* The rule of the book as it is written; "" for a rewrite that is code. */
static const char *rule_text(const Job *job, const char *rewrite)
{
    uint32_t rule;
    if (!tg_book_find(job->options.book, rewrite, &rule))
        return "";
    const TgRuleInfo *r = tg_book_rule(job->options.book, rule);
    return tg_name_format(job->run->tg, "%s%s%s -> %s", r->match, *r->when ? " when " : "", r->when, r->give);
}

static void note_application(void *user, const TgApplication *a)
{
    Job *job = user;
    job->untold += !a->check.before;
    tg_trace_step(&job->trace,
                  &(TgTraceStep){a->number, a->pass, a->rewrite, a->place, rule_text(job, a->rewrite), &a->check});
}

/* Reads what the command line says; nothing is opened yet. */
static bool understand(Job *job)
{
    static const char *const places[] = {"auto", "keep", "all", "none"}, *const extents[] = {"auto", "full",
                                                                                             "strict"};
    const Arguments *a = &job->run->arguments;
    TgOptimizeOptions *o = &job->options;
    int64_t level = 2, threads = 1;
    *o = (TgOptimizeOptions){.rewrite_limit = -1, .print = print_to_stderr, .user = job};
    if (has(a, OPT_trace))
        o->trace = note_application;
    job->seed = 1;
    int n_targets, target;
    const char *const *targets = tg_target_names(&n_targets);
    target = choice_of(a, OPT_target, targets, n_targets);
    int place = choice_of(a, OPT_external, places, 4), extent = choice_of(a, OPT_verify, extents, 3);
    bool fine = emit_of(a, EMIT_ONNX, &job->emit) && place >= 0 && extent >= 0 && target >= 0;
    fine = fine && number_of(a, OPT_level, 0, 2, &level) && number_of(a, OPT_threads, 1, 1024, &threads);
    fine = fine && number_of(a, OPT_opset, 7, tg_newest_opset(), &o->opset);
    fine = fine && number_of(a, OPT_rewrite_limit, 0, INT64_MAX, &o->rewrite_limit);
    fine = fine && number_of(a, OPT_seed, 0, INT64_MAX, &job->seed) && conversion_of(a, &job->convert);
    fine = fine && narrowing_of(a, &job->weights) && strictness_of(a, &job->strict);
    if (fine && job->weights && (job->emit != EMIT_C || job->convert.to))
        return usage("--weights says how --emit=c stores matrices, without --convert");
    o->target = (TgTarget)target;
    job->external = (TgExternal)place;
    job->extent = (Extent)extent;
    o->evaluate_each = extent == VERIFY_FULL;
    if (job->emit == EMIT_C && !o->opset) /* operators that stand for most work */
        o->opset = tg_newest_opset();
    o->for_plan = job->emit == EMIT_C;
    o->level = (int)level;
    o->threads = (uint32_t)threads;
    o->check_each = has(a, OPT_check_each) || has(a, OPT_verify_each);
    o->evaluate_each |= has(a, OPT_verify_each);
    o->make_rotary = has(a, OPT_rotary);
    o->merge_lora = has(a, OPT_merge_lora);
    o->approximate = has(a, OPT_approximate);
    o->print_after = text_of(a, OPT_print_after);
    o->explain = has(a, OPT_explain) ? word_of(a, OPT_explain, "") : NULL;
    return fine;
}

static bool known_pass(const char *option, const char *name)
{
    bool known = !name || !*name;
    for (uint32_t i = 0; i < tg_pass_count() && !known; i++)
        known = strcmp(tg_pass_info(i)->name, name) == 0;
    return known || usage("--%s: there is no pass '%s'", option, name);
}

static bool known_passes(const Job *job)
{
    const char *print = job->options.print_after;
    bool special = print && (strcmp(print, "all") == 0 || strcmp(print, "changed") == 0);
    return known_pass("explain", job->options.explain) && (special || known_pass("print-after", print));
}

static bool load(Job *job)
{
    double start = seconds_now();
    job->source = load_model(job->run, job->run->arguments.operands.at[0]);
    if (!job->source || !fix_input_shapes(job->run, job->source))
        return false;
    job->summary.load = seconds_now() - start;
    return true;
}

static bool optimize(Job *job)
{
    double start = seconds_now();
    TgEquivOptions options = {.seed = (uint64_t)job->seed, .threads = job->options.threads};
    options.tolerance = 1e-4; /* our own rewrites have no need to be less exact than what they replace */
    tg_equiv_means(job->source->graph, &options);
    if (!has(&job->run->arguments, OPT_no_verify))
        job->checker = tg_checker_new(job->run->tg, &options);
    job->options.checker = job->checker;
    if (job->options.trace)
        tg_trace_begin(&job->trace, tg_forever(job->run->tg), tg_model_hash(job->source), (uint64_t)job->seed,
                       TGOPT_VERSION);
    job->model = tg_model_clone(job->source);
    job->options.book = load_book(job->run, job->options.level);
    if (!job->options.book)
        return false;
    if (!tg_optimize(job->model, &job->options, &job->report))
        return false;
    job->summary.optimize = seconds_now() - start - job->report.check_seconds;
    job->summary.verify = job->report.check_seconds;
    job->summary.checks = job->checker ? tg_checker_result(job->checker) : NULL;
    return true;
}

/* What the check refused was not done; each is a defect of ours that the user should send. */
static void report_refusals(Job *job)
{
    const TgReport *r = &job->report;
    for (uint32_t i = 0; i < r->refusals.n; i++) {
        const TgApplication *a = &r->refusals.at[i];
        fprintf(stderr, "tgopt: warning: rewrite '%s' at '%s' was refused by its check and not done: %s\n",
                a->rewrite, a->place, a->check.why);
        if (job->run->verbose && a->check.before)
            fprintf(stderr, "# before\n%s# after\n%s", a->check.before, a->check.after);
    }
    if (r->refusals.n)
        fprintf(stderr,
                "tgopt: note: this is a defect of the rewrite, please report it with the output of -v\n");
    if (r->refusals.n && job->extent == VERIFY_STRICT)
        job->run->code = EXIT_DIFFERENT;
}

static void report_undecided(const Job *job)
{
    const TgReport *r = &job->report;
    for (uint32_t i = 0; i < r->undecided.n && job->run->verbose; i++)
        fprintf(stderr, "tgopt: note: rewrite '%s' at '%s' could not be checked by itself: %s\n",
                r->undecided.at[i].rewrite, r->undecided.at[i].place, r->undecided.at[i].check.why);
    if (r->undecided.n && !job->summary.equiv)
        fprintf(stderr,
                "tgopt: warning: %u rewrites could not be checked; --verify=full compares the whole model\n",
                r->undecided.n);
}

/* The whole model against its source: where it is small, where asked, and where some application was not
 * decided. */
static bool verify_whole(Job *job)
{
    static const double cheap = 2e6, affordable = 1e11; /* operations; bytes */
    double start = seconds_now();
    TgEquivOptions options = {.seed = (uint64_t)job->seed, .threads = job->options.threads};
    uint32_t approximate = job->report.approximate; /* the model is not equal then */
    if (approximate && !job->run->quiet)
        fprintf(stderr, "tgopt: note: %u approximate rewrites: the whole was not compared with the source\n",
                approximate);
    if (approximate)
        return true;
    double work = tg_graph_cost(job->source->graph, 3).flops + 100 * tg_graph_const_bytes(job->source->graph);
    bool wanted = work < 100 * cheap || (job->report.undecided.n && work < affordable);
    if (!wanted && job->extent != VERIFY_FULL)
        return true;
    if (job->extent == VERIFY_FULL)
        whatever_it_costs(job->run->tg, &options);
    if (!tg_equiv(job->run->tg, job->source, job->model, &options, &job->equiv))
        return false;
    job->summary.verify += seconds_now() - start;
    job->summary.equiv = &job->equiv;
    if (job->equiv.verdict == TG_DIFFERENT)
        job->run->code = EXIT_DIFFERENT;
    return true;
}

/* Behind the checks: what was optimized is equal to the source, what is converted is measured against it. */
static bool convert(Job *job)
{
    enum { BF16_SINCE = 13 };
    int64_t opset = job->options.opset ? job->options.opset : tg_model_opset(job->model, "");
    if (job->convert.to == TG_bf16 && opset < BF16_SINCE) {
        job->run->code = EXIT_USAGE;
        return usage("opset %lld has no bf16: give --opset=%d or newer, or --convert=fp16", (long long)opset,
                     BF16_SINCE);
    }
    if (!convert_model(job->run, job->source, job->model, job->convert, (uint64_t)job->seed, &job->conversion))
        return false;
    job->summary.conversion = &job->conversion;
    return true;
}

static bool narrow(Job *job)
{
    if (!narrow_model(job->run, job->source, job->model, job->weights, (uint64_t)job->seed, &job->conversion))
        return false;
    job->summary.conversion = &job->conversion;
    return true;
}

/* A folder of standalone C; golden outputs are those of the source, or of the model
 * whose weights, or all of it, were rounded. */
static bool write_package(Job *job, const char *folder)
{
    static const double affordable = 3e10;
    Run *run = job->run;
    TgcOptions options = {.folder = folder,
                          .name = text_of(&run->arguments, OPT_name),
                          .version = "tgopt " TGOPT_VERSION,
                          .embed_weights = has(&run->arguments, OPT_embed_weights),
                          .strict = job->strict,
                          .tests = true,
                          .reference = job->weights || job->convert.to ? job->model->graph : job->source->graph,
                          .most_flops = affordable,
                          .seed = (uint64_t)job->seed,
                          .threads = job->options.threads};
    TgPlan *plan = plan_for_c(run, job->model, job->options.book, NULL);
    bool ok = plan && tgc_emit(plan, &options, &job->package);
    job->arena_bytes = plan ? plan->arena_bytes : 0;
    job->floor_bytes = plan ? plan->floor_bytes : 0;
    tg_plan_free(plan);
    return ok;
}

static void print_package(const Job *job)
{
    const TgcReport *r = &job->package;
    fprintf(stderr, "  %-*s%s: %u files, %llu bytes of sources, %llu of weights\n", SUMMARY_LABEL, "package",
            r->name, r->files, (unsigned long long)r->sources, (unsigned long long)r->weights);
    fprintf(stderr, "  %-*s%llu bytes, at least %llu are needed at once\n", SUMMARY_LABEL, "arena",
            (unsigned long long)job->arena_bytes, (unsigned long long)job->floor_bytes);
    if (r->why_not)
        fprintf(stderr, "  %-*sno golden outputs: %s\n", SUMMARY_LABEL, "", r->why_not);
}

static bool write_model(Job *job, const char *path)
{
    double start = seconds_now();
    const Arguments *a = &job->run->arguments;
    TgSaveOptions options = {.opset = job->report.opset,
                             .external = job->external,
                             .provenance = has(a, OPT_provenance),
                             .sync = has(a, OPT_sync)};
    bool ok = job->emit == EMIT_C      ? write_package(job, path)
              : job->emit == EMIT_ONNX ? tg_save(job->model, path, &options)
                                       : emit_model(job->run, job->model, job->emit, path);
    job->summary.write = seconds_now() - start;
    job->summary.target = path;
    return ok;
}

/* The certificate ends with the hash of what was written, read back. */
static bool write_trace(Job *job, const char *result)
{
    TgModel *written = load_model(job->run, result);
    if (!written)
        return false;
    if (job->report.undecided.n)
        fprintf(stderr, "tgopt: warning: the trace will not hold: %u of its steps could not be checked\n",
                job->report.undecided.n);
    else if (job->untold)
        fprintf(stderr, "tgopt: warning: the trace will not hold: %u of its steps are too large to be written\n",
                job->untold);
    tg_trace_end(&job->trace, tg_model_hash(written));
    return write_text(job->run->tg, text_of(&job->run->arguments, OPT_trace), &job->trace.text);
}

static void print_passes(const TgReport *report)
{
    for (uint32_t i = 0; i < report->passes.n; i++)
        fprintf(stderr, "  %-14s%10.6f s %8u changes\n", report->passes.at[i].pass,
                report->passes.at[i].seconds, report->passes.at[i].changes);
}

static bool conclude(Job *job)
{
    Run *run = job->run;
    Summary *s = &job->summary;
    s->source = run->arguments.operands.at[0];
    s->report = &job->report;
    s->before = figures_of(job->source);
    s->after = figures_of(job->model);
    if (job->report.opset)
        s->after.opset = job->report.opset;
    count_ops(run->tg, s, job->source, false);
    count_ops(run->tg, s, job->model, true);
    for (uint32_t i = 0; i < job->report.explanations.n; i++)
        fprintf(stderr, "%s\n", job->report.explanations.at[i]);
    if (has(&run->arguments, OPT_time_passes))
        print_passes(&job->report);
    if (!run->quiet)
        print_summary(run, s);
    if (!run->quiet && job->package.files)
        print_package(job);
    const char *report = text_of(&run->arguments, OPT_report);
    return !report || write_report(run, s, report);
}

bool optimize_command(Run *run)
{
    Job job = {.run = run};
    const Arguments *a = &run->arguments;
    if (!understand(&job) || !known_passes(&job)) {
        run->code = EXIT_USAGE;
        return false;
    }
    if (job.emit == EMIT_C && (!has(a, OPT_output) || strcmp(text_of(a, OPT_output), "-") == 0 || !known_for_c(run))) {
        run->code = EXIT_USAGE;
        return usage("--emit=c writes a folder: give -o DIR");
    }
    const char *path = word_of(a, OPT_output, job.emit == EMIT_ONNX ? NULL : "-");
    if (job.options.trace && (!path || strcmp(path, "-") == 0 || has(a, OPT_no_verify))) {
        run->code = EXIT_USAGE;
        return usage("--trace certifies a checked result in a file: give -o FILE and leave out --no-verify");
    }
    if (job.weights || job.convert.to)
        keep_freed_memory();
    if (!load(&job) || !optimize(&job))
        return false;
    report_refusals(&job);
    if (job.checker && !verify_whole(&job))
        return false;
    report_undecided(&job);
    if (job.convert.to && job.equiv.verdict != TG_DIFFERENT && !convert(&job))
        return false;
    if (job.weights && job.equiv.verdict != TG_DIFFERENT && !narrow(&job))
        return false;
    bool written = path && job.equiv.verdict != TG_DIFFERENT;
    if (written && !write_model(&job, path))
        return false;
    if (written && job.options.trace && !write_trace(&job, path))
        return false;
    if (path && !written)
        fprintf(stderr,
                "tgopt: the result differs from the source: nothing was written; please report the model\n");
    return conclude(&job);
}
