/** What inboxes and robots tell of an event, as SQL over an event and its request. Aliases are those of the statement. */

/** As `isSecret` has it: mediation and confidential matters. */
export const secretOf = (request: string): string => `(${request}.confidential OR ${request}.kind = 'mediation')`

/** Code of the community, the finest place that is told of a secret matter. */
export const communityOf = (request: string): string => `NULLIF(split_part(${request}.path, '/', 2), '')`

/** A community, or what lies above it: a finer place would tell where a secret matter is. */
export const isCommunity = (path: string): boolean => path.split('/').length <= 3

/** The same of a path in SQL. */
export const isCommunitySql = (path: string): string => `cardinality(string_to_array(${path}, '/')) <= 3`

/** The due time that the event itself is about, else of what the request waits for next; null when it waits for nothing. @param steps parameter with `DUE_STEPS` */
export const dueOf = (event: string, request: string, steps: string): string => `COALESCE((${event}.data ->> 'dueAt')::timestamptz(3),
    (SELECT min(d."dueAt") FROM deadline d WHERE d."tenantId" = ${request}."tenantId" AND d."requestId" = ${request}.id
      AND d."closedAt" IS NULL AND d."stoodAt" IS NULL AND d.step = ANY (${steps})))`
