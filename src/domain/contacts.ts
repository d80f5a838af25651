import { z } from 'zod'
import { otherwise, text } from './atoms.ts'
import type { Capability } from './machine.ts'
import type { OrganisationKind } from './organisations.ts'
import { says } from './problems.ts'

/** 连心卡 and 公示牌: who is responsible for a place, and what of him he lets others know (个人信息保护法 第二十五条). */

export const CONTACT_FIELDS = ['name', 'phone'] as const
export type ContactField = (typeof CONTACT_FIELDS)[number]

/** `residents`: whoever has logged in · `public`: everybody, and so also what is printed and hung up. */
export const AUDIENCES = ['residents', 'public'] as const
export type Audience = (typeof AUDIENCES)[number]

/** A duty that answers to residents confers one of these; those who administer, audit or call back are on no board. */
export const RESPONSIBLE: readonly Capability[] = ['file_for', 'dispatch', 'publish', 'handle', 'supervise']

/** Beside the persons: S1 物业, S3 业委会, S4 自管委, and the party organisations of the place. */
export const ON_THE_BOARD: readonly OrganisationKind[] = ['community_party', 'branch', 'party_group', 'property', 'owners_committee', 'self_mgmt']

/** What is for the public is for residents too. */
export const isFor = (audience: Audience, viewer: Audience): boolean => audience === 'public' || viewer === 'residents'

/** A post and not a person: a printed card stays good for whoever comes after him. */
export interface Post {
  /** Code of the node. */
  node: string
  role: string
}

/** `node~role~signature`; '~' is in no code and needs no escaping in URLs (RFC 3986, section 2.3). */
export const cardText = z.string().max(200).regex(/^[\w.-]+~[\w.-]+~[\w-]+$/, otherwise(says('不是连心卡的 card', 'Not a card'))).describe('连心卡或公示牌二维码中的 card')

export const filingLinkSchema = text({ max: 500 }).refine((link) => {
  const url = URL.parse(link.replaceAll(/[{}]/g, ''))
  return link.includes('{node}') && url !== null && ['https:', 'http:', 'weixin:'].includes(url.protocol)
}, otherwise(says('应为含 {node} 的网址，可含 {card}', 'Expected a URL with {node} in it, and {card} if you like')))

export const filingLink = (template: string, node: string, card: string | null): string =>
  template.replaceAll('{node}', encodeURIComponent(node)).replaceAll('{card}', encodeURIComponent(card ?? ''))

export interface AddressedNode {
  code: string
  name: string
  path: string
}

/** 银雀华府3-1-502 → 银雀华府3号楼1单元502; full-width forms and blanks taken off. */
export const plainAddress = (address: string): string =>
  address.normalize('NFKC').replaceAll(/[\s,，。、]/g, '').replaceAll(/(?<![\w-])(\d+)(?:栋|幢|#)/g, '$1号楼').replaceAll(/(?<![\w-])(\d+)-(\d+)(?=-\d|(?![\w-]))/g, '$1号楼$2单元')

/**
 * The place an address means: the one of which most names, from itself up, stand in the address, or whose code it begins
 * with. Of several as good as each other what lies above them all; undefined where nothing is known.
 * @param address as `plainAddress` writes it
 * @param nodes at least those whose name or code occurs in it
 */
export function nearestTo<N extends AddressedNode>(nodes: readonly N[], address: string): string | undefined {
  const byCode = nodes.filter(({ code }) => address === code || address.startsWith(`${code}-`)).sort((a, b) => b.code.length - a.code.length)[0]
  if (byCode) return byCode.path
  const named = nodes.filter(({ name }) => occurs(name, address))
  const score = ({ path }: N) => named.filter((above) => path.startsWith(above.path)).length
  const best = Math.max(0, ...named.map(score))
  const paths = named.filter((node) => score(node) === best).map(({ path }) => path)
  return paths.length === 0 ? undefined : above(paths)
}

/** Not as the end of a longer number: 3号楼 is not in 13号楼. */
function occurs(name: string, address: string): boolean {
  for (let at = address.indexOf(name); at >= 0; at = address.indexOf(name, at + 1)) {
    if (!(/^\d/.test(name) && /\d/.test(address[at - 1] ?? ''))) return true
  }
  return false
}

/** The longest path that all lie under; undefined where that is nowhere. */
function above([first = '', ...others]: readonly string[]): string | undefined {
  const codes = first.split('/').slice(0, -1)
  while (codes.length > 0 && !others.every((path) => path.startsWith(`${codes.join('/')}/`))) codes.pop()
  return codes.length === 0 ? undefined : `${codes.join('/')}/`
}
