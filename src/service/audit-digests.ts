/**
 * Canonical forms of what the chain covers, hashed where they lie. A jsonb has one text only (keys in order, numbers
 * normalised), whatever zone or locale is set; no function of ours in the database, which could be replaced.
 */

const digest = (...parts: string[]): string => `sha256(convert_to(jsonb_build_array(${parts.join(', ')})::text, 'UTF8'))`
const ms = (time: string): string => `(extract(epoch FROM ${time}) * 1000)::bigint`

/** A feed row `f`; its position is the link's. */
export const FEED_DIGEST = digest('f."tenantId"', 'f.id', 'f."requestId"', 'f.seq', 'f.type', ms('f.at'), 'f.path', 'f.payload')

/** The row `e` of the history that a feed row tells of. */
export const EVENT_DIGEST = digest('e."tenantId"', 'e."requestId"', 'e.seq', 'e.verb', 'e."fromState"', 'e."toState"', ms('e.at'), 'e.cycle', 'e.path',
  'e."actorKind"', 'e."actorId"', 'e."clientId"', 'e."dutyId"', 'e."onBehalfOf"', 'e.data')

/** An entry `a`, without what was said why. */
export const ENTRY_DIGEST = digest('a."tenantId"', 'a.id', ms('a.at'), 'a.action', 'a."actorKind"', 'a."actorId"', 'a."clientId"', 'a."dutyId"',
  'a."objectKind"', 'a."objectId"', 'a.details', 'a.call')

/** By its key and never by a join, which would be planned for other sizes than the tables have by now. */
export const HISTORY_OF_FEED = `(SELECT ${EVENT_DIGEST} FROM event e WHERE e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq)`
