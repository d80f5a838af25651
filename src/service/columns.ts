/**
 * Columns of the aggregate's tables with their PostgreSQL types, as `decide` writes them. A law compares them with
 * information_schema, so that a new column cannot be forgotten here.
 */

export const COLUMNS = {
  request: {
    id: 'uuid', number: 'text', nodeId: 'uuid', filerClientId: 'uuid', externalRef: 'text', source: 'text', filedAt: 'timestamptz', collectedAt: 'timestamptz',
    kind: 'text', itemId: 'uuid', policyId: 'uuid', state: 'text', version: 'int', cycle: 'int', responsibleNodeId: 'uuid', path: 'text',
    filerId: 'uuid', beneficiaryId: 'uuid', guardianId: 'uuid', firstContactId: 'uuid', respondentId: 'uuid', respondentOrganisationId: 'uuid', leadId: 'uuid', campaignId: 'uuid',
    targetGroup: 'text', grade: 'text', confidential: 'bool', slots: 'int', slotsTaken: 'int', wave: 'int', locked: 'bool', excluded: 'bool', confirmed: 'bool',
    onTheSpot: 'bool', urges: 'int', urgedAt: 'timestamptz', trips: 'int', papersOut: 'int', sessions: 'int', beneficiaries: 'int', resolvedAtLevel: 'text',
    supervisorPath: 'text',
    unreached: 'int', result: 'text', solved: 'text', satisfaction: 'text', titleSeq: 'int', acceptedAt: 'timestamptz', placedAt: 'timestamptz',
    dispatchedAt: 'timestamptz', startedAt: 'timestamptz', respondedAt: 'timestamptz', completedAt: 'timestamptz', ratedAt: 'timestamptz', closedAt: 'timestamptz',
  },
  event: {
    requestId: 'uuid', seq: 'int', verb: 'text', fromState: 'text', toState: 'text', at: 'timestamptz', cycle: 'int', path: 'text',
    actorKind: 'text', actorId: 'uuid', clientId: 'uuid', dutyId: 'uuid', onBehalfOf: 'uuid', data: 'jsonb',
  },
  outbox: { id: 'uuid', requestId: 'uuid', seq: 'int', type: 'text', at: 'timestamptz', path: 'text', payload: 'jsonb' },
  deadline: {
    requestId: 'uuid', step: 'text', seq: 'int', policyId: 'uuid', openedAt: 'timestamptz', dueAt: 'timestamptz', originalDueAt: 'timestamptz',
    provisional: 'bool', nextAt: 'timestamptz', mark: 'int', rungPath: 'text', rungAt: 'timestamptz', stoodAt: 'timestamptz', closedAt: 'timestamptz',
  },
  assignment: {
    requestId: 'uuid', seq: 'int', slot: 'int', role: 'text', via: 'text', quantity: 'int', personId: 'uuid', organisationId: 'uuid', memberId: 'uuid', path: 'text',
    level: 'text', status: 'text', since: 'timestamptz', until: 'timestamptz', reportedAt: 'timestamptz',
  },
  ask: {
    requestId: 'uuid', seq: 'int', kind: 'text', cycle: 'int', reason: 'text', personId: 'uuid', organisationId: 'uuid', path: 'text', until: 'timestamptz',
    suggestedPersonId: 'uuid', suggestedOrganisationId: 'uuid', status: 'text', askedAt: 'timestamptz', answeredAt: 'timestamptz', answeredBy: 'uuid',
  },
  consent: { requestId: 'uuid', seq: 'int', purpose: 'text', by: 'text', how: 'text', granted: 'bool', at: 'timestamptz' },
  text: { requestId: 'uuid', seq: 'int', field: 'text', body: 'text' },
  wall_entry: { requestId: 'uuid', seq: 'int', title: 'text', text: 'text', scopePath: 'text', isPublic: 'bool', takenDownAt: 'timestamptz' },
} as const satisfies Record<string, Record<string, string>>

export type Table = keyof typeof COLUMNS

/** What the database writes by itself: a filing need not carry it. A law compares them with information_schema. */
export const REQUEST_DEFAULTS: Readonly<Record<string, unknown>> = {
  slots: 1, slotsTaken: 0, wave: 0, locked: false, excluded: false, onTheSpot: false, urges: 0, trips: 0, papersOut: 0, sessions: 0, unreached: 0,
}

export const names = (columns: Record<string, string>, prefix = ''): string => Object.keys(columns).map((name) => `${prefix}"${name}"`).join(', ')
export const typed = (columns: Record<string, string>): string => Object.entries(columns).map(([name, type]) => `"${name}" ${type}`).join(', ')
