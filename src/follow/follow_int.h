/* SPDX-License-Identifier: MIT
 *
 * The parts of follow, to each other.
 *
 *     follow.c    which tasks are followed, and when the next question is due
 *     question.c  one question to an agent: asked, answered, committed, told
 *     listen.c    one stream of a task, from the agent into the log
 *     wait.c      who waits for a task's end
 *
 *     follow --> followed (one per task) --> question (while one is under way) --> askers
 *           \            \--> listens (streams), one of which may be folded
 *            \            \--> waits
 *            --> lane (one per agent id: whose turn it is) --> agent, counted
 */
#ifndef FOLLOW_FOLLOW_INT_H
#define FOLLOW_FOLLOW_INT_H

#include "follow/follow.h"
#include "lib/limits.h"
#include "lib/list.h"
#include "lib/map.h"

/* Polls under way per agent. The poller has time; its agent's places belong to callers first. */
#define POLLS_PER_AGENT 4u
/* -32001 to GetTask so many times, over lost_ms at least: the agent has forgotten the task. */
#define LOST_TRIES 3u

struct follow {
    struct loop *loop; /* borrowed, as the next two, as long as the gateway lives */
    struct store *store;
    struct dispatch *dispatch;
    struct follow_config config;
    struct map tasks; /* "agent NUL task id" -> struct followed */
    struct map lanes; /* agent id -> struct lane */
    size_t n_followed;
    unsigned n_questions, n_cancels, n_waits;
    unsigned n_listens; /* with those that only wait for a last callback */
    size_t n_streams;   /* open */
    struct store_listener listener;
    follow_quiet_fn on_quiet; /* or NULL */
    void *quiet_arg;
    struct timer orphans; /* the next look for tasks nobody follows */
    bool is_taking;       /* such a look is under way */
    bool is_stopped;
    bool has_met_odd;      /* a row in the database no task can have; told once */
    struct list due_waits; /* waits that are to be told at the end of the turn */
    struct deferred tell;
    uint64_t noise; /* state of the generator that spreads questions */
};

/* The followed tasks of one agent id: who asks next, and which version of the agent is asked. */
struct lane {
    struct follow *follow;
    struct agent *
        /* counted: the last version seen, asked on after it was removed; NULL: never seen */
        agent;
    struct list queue;  /* followed.queue_link: due, waiting for their turn */
    struct timer pause; /* on: the agent had no place for us; nobody asks until it fires */
    unsigned n_polls;   /* under way */
    size_t n_tasks;
    char id[]; /* key in follow.lanes */
};

struct listen;

/* A task of an agent. At any time at most one of these holds:
 *
 *     timer `due` is on      its next question has a time
 *     in lane->queue         its time has come, its turn has not
 *     question != NULL       it is being asked
 *     folded != NULL         its stream is read (a question that was under way before may still be, and is not heeded)
 *
 * and if is_followed, at least one, until follow_stop(). It exists while it is followed or being asked. */
struct followed {
    struct follow *follow;
    struct lane *lane;
    struct question *question; /* owned; NULL: none under way */
    struct timer due;
    struct list queue_link;
    struct list waits;     /* struct follow_wait.link; only while is_followed */
    struct list listens;   /* struct listen.link; likewise */
    struct listen *folded; /* one of them; NULL: none */
    uint64_t interval_ms;  /* until the next question, unless the task is interrupted */
    uint64_t
        /* first of n_lost times the agent denied the task, with no good word since */
        lost_since_ms;
    unsigned n_lost;
    enum a2a_state state;
    bool is_followed; /* known to the store, not at its end */
    bool wants_again; /* a hint came while it was being asked */
    bool has_changed; /* committed anew, or made ours, since the last question was settled */
    struct str agent, id, key;
    char bytes[];
};

/* --- follow.c ------------------------------------------------------------------------------------- */

/* The task's entry; NULL: it is neither followed nor asked for. */
struct followed *followed_find(const struct follow *f, struct str agent, struct str id);
/* The same, made if there is none; whoever leaves it neither followed nor asked calls followed_settle(). */
struct followed *followed_get(struct follow *f, struct str agent, struct str id);
/* The question that was under way is over: `task` is what the store has now, NULL when the agent said nothing
 * good. Finds the next question's time. The entry may be gone afterwards. */
void followed_settle(struct followed *t, struct task *task);
/* Follows it from now on, as it is in `state`. */
void followed_begin(struct followed *t, enum a2a_state state);
/* It is at its end, or gone (`task` NULL): followed no longer, waiters are told. The entry stays only while a
 * question is under way. */
void followed_forget(struct followed *t, struct task *task);
/* Something has happened to it at its agent, who knows what: a question is due. */
void followed_hint(struct followed *t);
/* Its stream is over: the next question finds its time. */
void followed_go_on(struct followed *t, bool has_progress);
/* Takes it out of the line: it is about to be asked. */
void followed_unschedule(struct followed *t);
/* Which version of the lane's agent is to be asked; NULL: none was ever seen. */
struct agent *lane_agent(struct lane *lane);
/* Starts questions of those whose turn it is. */
void lane_run(struct lane *lane);

/* Stops the program if an invariant does not hold. For tests. */
void follow_check(const struct follow *f);

/* --- question.c ----------------------------------------------------------------------------------- */

/* Asks the agent for the task; nobody must be asking. `is_poll`: it takes one of the lane's turns. */
MUST_CHECK int question_start(struct followed *t, struct agent *a, bool is_poll);

/* --- listen.c ------------------------------------------------------------------------------------- */

/* Asks the agent for the stream of a task that runs. False: it has none for us now. */
bool listen_attach(struct followed *t);
/* Whether a stream of it is folded, or what that has said last is being settled. */
bool listen_is_on(const struct followed *t);
/* Closes all its streams. */
void listens_end(struct followed *t);

/* --- wait.c --------------------------------------------------------------------------------------- */

/* The task as it is now; tells those for whom that is the end. */
void waits_note(struct followed *t, struct task *task);
/* It is followed no longer: tells all, `task` NULL: with what they know. */
void waits_end(struct followed *t, struct task *task);
/* Tells those that are due, now. */
void waits_tell(struct follow *f);

#endif
