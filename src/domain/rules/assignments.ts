import type { Actor } from '../actor.ts'
import type { AssignmentRow, CounterDelta, Facts, RequestRow } from '../request.ts'

/** Wishes held at once by one claimer: a person, or the organisation claimed for. */
export const claimsKey = (claimer: { personId: string | null; organisationId: string | null }) =>
  `claims/${claimer.organisationId ?? claimer.personId}`

export const ended = (rows: readonly AssignmentRow[], status: AssignmentRow['status'], until: Date): AssignmentRow[] =>
  rows.map((row) => ({ ...row, status, until }))

/** Claims that ended count no longer against the claimer's limit. */
export const givenBack = (rows: readonly AssignmentRow[]): CounterDelta[] =>
  rows.filter(({ via }) => via === 'claim').map((row) => ({ key: claimsKey(row), delta: -1, limit: null }))

/** Whose wish it is: he neither claims it nor is sent to fulfil it. */
export const isPetitioner = (personId: string, { filerId, beneficiaryId, guardianId }: RequestRow): boolean => [filerId, beneficiaryId, guardianId].includes(personId)

/** 首问责任制: who was asked first owns it to the end. Filed by the resident, it is who first takes it up. */
export const firstContact = ({ request }: Pick<Facts, 'request'>, actor: Actor): Partial<RequestRow> =>
  request.firstContactId === null && actor.kind === 'person' ? { firstContactId: actor.id } : {}
