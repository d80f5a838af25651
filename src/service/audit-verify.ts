import type pg from 'pg'
import { ENTRY_DIGEST, EVENT_DIGEST, FEED_DIGEST } from './audit-digests.ts'
import { Faults, type Fault } from './audit-faults.ts'
import { NOTHING, auditKeys, isSigned, linkHash, type AuditKey, type Checkpoint, type LinkContent } from './audit-keys.ts'
import { checkCheckpoints, checkShipped, type ShippedCheckpoint } from './audit-verify-checkpoints.ts'
import { findUnlinked } from './audit-verify-unlinked.ts'
import type { Keyring } from './keyring.ts'

/** What came of checking the chain. */
export interface Verdict {
  ok: boolean
  /** Links that were checked, and how many of them stand for audit entries. */
  links: number
  entries: number
  checkpoints: number
  /** In the feed and not in the chain yet: the worker's next batch. */
  pending: number
  /** The chain covers everything after this position of the feed. */
  from: string
  head: { n: string; position: string; hash: string; at: string } | null
  /** All of them; the first thousand are told. */
  found: number
  faults: Fault[]
}

interface VerifyOptions {
  /** Checkpoints that were kept elsewhere. */
  shipped?: readonly ShippedCheckpoint[]
  /** Links read at a time. */
  batch?: number
  progress?: (checked: number, of: number) => void
}

export type HeadRow = Omit<Checkpoint, 'n' | 'position' | 'previous' | 'anchor' | 'kid' | 'signature'> & { n: string; position: string; previous: string; kid: string | null; signature: Buffer | null }

/**
 * Recomputes the whole chain and compares it with feed, history and audit entries, as they are at one moment, in bounded
 * memory, batch by batch; the worker goes on meanwhile. Every edited, deleted, inserted or moved row and a tail that was
 * cut off are located. What was written by whoever has the keyring as well is found by `shipped` alone.
 * @param client a connection of its own as the owner of the tables, without limits of time
 * @throws Error when the keyring lacks the key of the chain's head
 */
export async function verifyChain(client: pg.ClientBase, keyring: Keyring, { shipped = [], batch = 2_000, progress = () => {} }: VerifyOptions = {}): Promise<Verdict> {
  const faults = new Faults()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
  try {
    const head = await readHead(client, keyring, faults)
    const anchor = await readAnchor(client, keyring, head, faults)
    const walked = await walk(client, { keyring, anchor, faults, batch, progress, of: Number(head?.n ?? 0) - Number(anchor.n) })
    checkEnd(head, walked, faults)
    const pending = await findUnlinked(client, { from: anchor.position, to: head ? BigInt(head.position) : walked.position, faults })
    const checkpoints = await checkCheckpoints(client, { keyring, head, faults })
    await checkShipped(client, { keyring, shipped, end: walked.n, from: anchor.n, faults })
    faults.pairMoves()
    return {
      ok: faults.found === 0, links: walked.links, entries: walked.entries, checkpoints, pending, from: anchor.position.toString(),
      head: head && { n: head.n, position: head.position, hash: head.hash.toString('hex'), at: head.at.toISOString() }, found: faults.found, faults: faults.told,
    }
  } finally {
    await client.query('ROLLBACK')
  }
}

async function readHead(client: pg.ClientBase, keyring: Keyring, faults: Faults): Promise<HeadRow | null> {
  const { rows: [head] } = await client.query<HeadRow>('SELECT * FROM audit_head')
  if (!head) {
    faults.add({ kind: 'deleted', table: 'audit_head' })
    return null
  }
  if (head.kid === null && head.n === '0') return head
  const state = { ...head, n: BigInt(head.n), position: BigInt(head.position), previous: BigInt(head.previous) }
  if (!isSigned(keyring, 'head', state, head)) faults.add({ kind: 'edited', table: 'audit_head', n: head.n, position: head.position })
  return head
}

interface Place {
  n: bigint
  position: bigint
  hash: Buffer
}

/** Where the chain begins: at its first beginning, or where what was past its time was taken off. */
async function readAnchor(client: pg.ClientBase, keyring: Keyring, head: HeadRow | null, faults: Faults): Promise<Place> {
  const { rows } = await client.query<Omit<Checkpoint, 'n' | 'position' | 'previous'> & { n: string; position: string; previous: string }>('SELECT * FROM audit_checkpoint WHERE anchor ORDER BY n DESC')
  const known = rows.map((row) => ({ ...row, n: BigInt(row.n), position: BigInt(row.position), previous: BigInt(row.previous) }))
  const anchor = known.find((row) => isSigned(keyring, 'anchor', row, row))
  // A signed one that is false is told with the checkpoints.
  if (anchor) return anchor
  if (!head || head.n !== '0') faults.add({ kind: 'deleted', table: 'audit_checkpoint', n: '0' })
  return { n: 0n, position: head?.n === '0' ? BigInt(head.position) : 0n, hash: NOTHING }
}

interface LinkRow extends Omit<LinkContent, 'n' | 'position'> {
  n: string
  position: string
  hash: Buffer
  /** What is there now; null is nothing. */
  feedId: string | null
  feedDigest: Buffer | null
  requestId: string | null
  seq: number | null
  eventDigest: Buffer | null
  entryDigest: Buffer | null
}

/** An event by its position, the row that the link knows first; an entry by its id. */
const LINKS = `
  SELECT l.*, f.id AS "feedId", f.digest AS "feedDigest", f."requestId", f.seq, f.history AS "eventDigest", a.digest AS "entryDigest"
  FROM (SELECT * FROM audit_link WHERE n > $1 ORDER BY n LIMIT $2) l
  LEFT JOIN LATERAL (SELECT f.id, f."requestId", f.seq, ${FEED_DIGEST} AS digest,
      (SELECT ${EVENT_DIGEST} FROM event e WHERE e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq) AS history
    FROM feed f WHERE l.kind = 'event' AND f.position = l.position ORDER BY f.id = l.id DESC LIMIT 1) f ON true
  LEFT JOIN LATERAL (SELECT ${ENTRY_DIGEST} AS digest FROM audit_entry a WHERE l.kind = 'entry' AND a.id = l.id LIMIT 1) a ON true
  ORDER BY l.n`

interface Walked extends Place {
  links: number
  entries: number
}

interface Walk {
  keyring: Keyring
  anchor: Place
  faults: Faults
  batch: number
  progress: (checked: number, of: number) => void
  of: number
}

async function walk(client: pg.ClientBase, { keyring, anchor, faults, batch, progress, of }: Walk): Promise<Walked> {
  const chain = chainOf(keyring, anchor, faults)
  const walked: Walked = { n: anchor.n, position: anchor.position, hash: anchor.hash, links: 0, entries: 0 }
  for (;;) {
    const { rows } = await client.query<LinkRow>(LINKS, [walked.n, batch])
    for (const row of rows) {
      const link = { ...row, n: BigInt(row.n), position: BigInt(row.position) }
      if (chain(link)) compare(row, faults)
      walked.links++
      if (row.kind === 'entry') walked.entries++
      Object.assign(walked, { n: link.n, position: link.position, hash: row.hash })
    }
    progress(walked.links, of)
    if (rows.length < batch) return walked
  }
}

/** @returns whether a link can be believed, told one after the other */
function chainOf(keyring: Keyring, anchor: Place, faults: Faults): (link: LinkContent & { hash: Buffer }) => boolean {
  let keys = auditKeys(keyring).sort((a, b) => a.age - b.age)
  let before: Place = anchor
  /** What the link before should have said, where it said something else; null after a gap. */
  let stands: (Buffer | null)[] = [anchor.hash]
  return (link) => {
    if (link.n !== before.n + 1n) {
      faults.add({ kind: 'deleted', table: 'audit_link', n: (before.n + 1n).toString(), position: link.position.toString(), count: (link.n - before.n - 1n).toString() })
      stands = [null]
    }
    // Keys are only ever followed by newer ones: a retired key makes no new links.
    const key = signer(keys, stands, link)
    const unknown = stands[0] === null
    if (key) keys = keys.slice(0, keys.indexOf(key) + 1)
    else if (!unknown) {
      const moved = link.position < before.position
      faults.add({ kind: moved ? 'reordered' : 'edited', table: 'audit_link', n: link.n.toString(), position: link.position.toString(), id: link.id })
    }
    stands = [link.hash, ...(key || unknown ? [] : keys.flatMap((one) => stands.flatMap((hash) => (hash ? [linkHash(one, hash, link)] : []))).slice(0, 4))]
    before = link
    return key !== undefined || unknown
  }
}

const signer = (keys: readonly AuditKey[], stands: readonly (Buffer | null)[], link: LinkContent & { hash: Buffer }): AuditKey | undefined =>
  keys.toReversed().find((key) => stands.some((hash) => hash !== null && linkHash(key, hash, link).equals(link.hash)))

/** What the link says was there, and what is there. */
function compare({ n, position, kind, id, digest, history, feedId, feedDigest, requestId, seq, eventDigest, entryDigest }: LinkRow, faults: Faults): void {
  const at = { n, position, id }
  if (kind === 'entry') {
    if (!entryDigest?.equals(digest)) faults.add({ kind: entryDigest ? 'edited' : 'deleted', table: 'audit_entry', ...at })
    return
  }
  // Another event in its place: told with the rows that no link knows.
  if (feedId !== id || !feedDigest) return faults.add({ kind: 'deleted', table: 'feed', ...at })
  if (!feedDigest.equals(digest)) return faults.add({ kind: 'edited', table: 'feed', ...at })
  if (!eventDigest || !history?.equals(eventDigest)) {
    faults.add({ kind: eventDigest ? 'edited' : 'deleted', table: 'event', ...at, ...(requestId !== null && { requestId }), ...(seq !== null && { seq }) })
  }
}

function checkEnd(head: HeadRow | null, { n, hash, position }: Walked, faults: Faults): void {
  if (!head) return
  const end = BigInt(head.n)
  if (n < end) faults.add({ kind: 'cut', table: 'audit_link', n: (n + 1n).toString(), position: position.toString(), count: (end - n).toString() })
  else if (n > end) faults.add({ kind: 'edited', table: 'audit_head', n: head.n, position: head.position })
  else if (!hash.equals(head.hash)) faults.add({ kind: 'edited', table: 'audit_link', n: head.n, position: position.toString() })
}
