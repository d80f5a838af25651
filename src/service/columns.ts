/**
 * Columns of the aggregate's tables with their PostgreSQL types, as `decide` writes them. A law compares them with
 * information_schema, so that a new column cannot be forgotten here.
 */

export const COLUMNS = {
  request: {
    id: 'uuid', number: 'text', nodeId: 'uuid', filerClientId: 'uuid', externalRef: 'text', source: 'text', filedAt: 'timestamptz', collectedAt: 'timestamptz',
    kind: 'text', itemId: 'uuid', policyId: 'uuid', state: 'text', version: 'int', cycle: 'int', responsibleNodeId: 'uuid', path: 'text',
    filerId: 'uuid', beneficiaryId: 'uuid', targetGroup: 'text', confidential: 'bool', slots: 'int', slotsTaken: 'int', supervisorPath: 'text',
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
    provisional: 'bool', nextAt: 'timestamptz', mark: 'int', rungPath: 'text', stoodAt: 'timestamptz', closedAt: 'timestamptz',
  },
  assignment: {
    requestId: 'uuid', seq: 'int', via: 'text', slot: 'int', personId: 'uuid', organisationId: 'uuid', path: 'text', status: 'text',
    since: 'timestamptz', until: 'timestamptz',
  },
  text: { requestId: 'uuid', seq: 'int', field: 'text', body: 'text' },
  wall_entry: { requestId: 'uuid', seq: 'int', title: 'text', text: 'text', scopePath: 'text', takenDownAt: 'timestamptz' },
} as const satisfies Record<string, Record<string, string>>

export type Table = keyof typeof COLUMNS

export const names = (columns: Record<string, string>, prefix = ''): string => Object.keys(columns).map((name) => `${prefix}"${name}"`).join(', ')
export const typed = (columns: Record<string, string>): string => Object.entries(columns).map(([name, type]) => `"${name}" ${type}`).join(', ')
