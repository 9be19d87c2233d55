/* SPDX-License-Identifier: MIT */
#include "store/mailbox.h"

#include "lib/mem.h"

struct letter *letter_new(enum letter_kind kind)
{
    struct letter *letter = MEM_NEW(struct letter);

    list_init(&letter->link);
    letter->kind = kind;
    return letter;
}

void mailbox_init(struct mailbox *m)
{
    BUG_ON(uv_mutex_init(&m->mutex));
    BUG_ON(uv_cond_init(&m->filled));
    list_init(&m->letters);
    m->is_closed = false;
}

void mailbox_release(struct mailbox *m)
{
    BUG_ON(!list_is_empty(&m->letters));
    uv_cond_destroy(&m->filled);
    uv_mutex_destroy(&m->mutex);
}

void mailbox_post(struct mailbox *m, struct letter *letter)
{
    uv_mutex_lock(&m->mutex);
    list_append(&m->letters, &letter->link);
    uv_cond_signal(&m->filled);
    uv_mutex_unlock(&m->mutex);
}

struct letter *mailbox_take(struct mailbox *m, uint64_t wait_ms)
{
    struct list *first;
    int err = 0;

    uv_mutex_lock(&m->mutex);
    while (list_is_empty(&m->letters) && !m->is_closed && !err) {
        if (wait_ms)
            err = uv_cond_timedwait(&m->filled, &m->mutex, wait_ms * 1000000);
        else
            uv_cond_wait(&m->filled, &m->mutex);
    }
    first = list_first(&m->letters);
    if (first)
        list_remove(first);
    uv_mutex_unlock(&m->mutex);
    return first ? CONTAINER_OF(first, struct letter, link) : NULL;
}

void mailbox_empty(struct mailbox *m, struct list *letters)
{
    uv_mutex_lock(&m->mutex);
    list_splice(letters, &m->letters);
    uv_mutex_unlock(&m->mutex);
}

void mailbox_close(struct mailbox *m)
{
    uv_mutex_lock(&m->mutex);
    m->is_closed = true;
    uv_cond_broadcast(&m->filled);
    uv_mutex_unlock(&m->mutex);
}

bool mailbox_pause(struct mailbox *m, uint64_t wait_ms)
{
    uint64_t until = uv_hrtime() + wait_ms * 1000000, now;
    bool is_closed;

    uv_mutex_lock(&m->mutex);
    /* Letters that come meanwhile wake us as well; they can wait. */
    while (!m->is_closed && (now = uv_hrtime()) < until)
        uv_cond_timedwait(&m->filled, &m->mutex, until - now);
    is_closed = m->is_closed;
    uv_mutex_unlock(&m->mutex);
    return is_closed;
}
