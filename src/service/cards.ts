import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Post } from '../domain/contacts.ts'
import { Problem, says } from '../domain/problems.ts'
import { tenantHere, type Db } from './db.ts'
import { HELD, HOLDER } from './holders.ts'
import type { Keyring } from './keyring.ts'

/** The `card` of a QR code: which post it was printed for, signed, so that nobody is made first contact by guessing. */
export const cardOf = (keyring: Keyring, post: Post): string => `${post.node}~${post.role}~${signature(cardKeys(keyring)[0]!, post).toString('base64url')}`

/** Codes are short because they are printed: 96 bits. */
const BYTES = 12

const signature = (key: Buffer, { node, role }: Post): Buffer => createHmac('sha256', key).update(`${tenantHere()}~${node}~${role}`).digest().subarray(0, BYTES)

/** By the newest key or an older one: a card hangs in a stairwell for years. */
function postOn(keyring: Keyring, card: string): Post | undefined {
  const [node = '', role = '', written = ''] = card.split('~')
  const given = Buffer.from(written, 'base64url')
  return cardKeys(keyring).some((key) => given.length === BYTES && timingSafeEqual(signature(key, { node, role }), given)) ? { node, role } : undefined
}

/**
 * Who holds the post of a card now, a stand-in while he stands in; null while it is vacant.
 * @param path of the place that is filed for: the post's own, or below it
 * @throws Problem validation-failed for a card that is not ours, or of another place
 */
export async function holderByCard(db: Db, keyring: Keyring, card: string, path: string): Promise<string | null> {
  const post = postOn(keyring, card)
  if (!post) throw refused(says('不是本系统的连心卡', 'Not a card of ours'))
  if (!path.split('/').includes(post.node)) throw refused(says('连心卡不管这个地点', 'The card is of another place'))
  const { rows: [holder] } = await db.app.query<{ id: string }>({
    name: 'holder_by_card',
    text: `SELECT h.id FROM duty d JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId" AND n.code = $2 CROSS JOIN LATERAL (SELECT ${HOLDER} AS id) h
      JOIN person p ON p."tenantId" = d."tenantId" AND p.id = h.id AND p."suspendedAt" IS NULL
      WHERE d."tenantId" = $1 AND d."roleCode" = $3 AND ${HELD} ORDER BY d."from", d.id LIMIT 1`,
    values: [tenantHere(), post.node, post.role],
  })
  return holder?.id ?? null
}

const refused = (message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer: '/card', code: 'value', message }] })

/** Keys for cards alone, from the keyring's (HKDF, RFC 5869): rotated with them, and of no use for anything else. */
const PURPOSE = 'wish-wall contact card 1'
const derived = new WeakMap<Keyring['seal'], Buffer[]>()

function cardKeys(keyring: Keyring): Buffer[] {
  let keys = derived.get(keyring.seal)
  if (!keys) derived.set(keyring.seal, (keys = keyring.seal.map(({ secret }) => Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, 32)))))
  return keys
}
