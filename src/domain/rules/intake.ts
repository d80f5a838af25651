import type { Context, Rule } from '../decide.ts'

/** A note is free text: it goes into its own row, never into the event. */
export const noteOf = (note: string | undefined) => (note === undefined ? [] : [{ field: 'note' as const, body: note }])

export const accept: Rule<'accept'> = {
  effect: ({ facts, input }) => ({ to: 'accepted', patch: { acceptedAt: facts.now }, texts: noteOf(input.note) }),
}

const withReason = (to: 'rejected' | 'returned') => ({ facts, input }: Pick<Context<'reject' | 'return'>, 'facts' | 'input'>) => ({
  to,
  patch: to === 'rejected' ? { closedAt: facts.now } : {},
  data: { reason: input.reason },
  texts: noteOf(input.note),
})

export const reject: Rule<'reject'> = { effect: withReason('rejected') }

/** 退回补正. */
export const returnForCompletion: Rule<'return'> = { effect: withReason('returned') }

export const resubmit: Rule<'resubmit'> = {
  effect: ({ facts, input }) => {
    const rewritten = input.title !== undefined || input.description !== undefined
    const title = input.title ?? facts.title
    return {
      to: 'filed',
      texts: [
        ...(rewritten ? [{ field: 'title' as const, body: title }] : []),
        ...(input.description === undefined ? [] : [{ field: 'description' as const, body: input.description }]),
        ...noteOf(input.note),
      ],
      ...(rewritten ? { title } : {}),
    }
  },
}
