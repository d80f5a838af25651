import { createHash } from 'node:crypto'
import { create } from 'qrcode'
import type { Board, Contact } from '../service/contacts.ts'

/** 连心卡 for the hand, 公示牌 for the wall. */
export const PAGE_SIZES = ['card', 'a4', 'a3'] as const
export type PageSize = (typeof PAGE_SIZES)[number]

/** 90 × 54 mm is a name card (GB/T 14916 cards are smaller: they would not be found in a drawer). */
const SHEETS: Record<PageSize, { page: string; css: string }> = {
  card: { page: '90mm 54mm', css: 'body{width:90mm;height:54mm;padding:3.5mm;font-size:2.9mm;overflow:hidden}h1{font-size:3.8mm}.qr svg{width:23mm}.qr{width:23mm}.where,.foot{display:none}td,th{padding:.45mm 1mm .45mm 0}' },
  a4: { page: 'A4 portrait', css: 'body{width:210mm;min-height:297mm;padding:14mm;font-size:4.6mm}h1{font-size:9mm}.qr svg{width:46mm}.qr{width:46mm}td,th{padding:1.6mm 2mm 1.6mm 0}' },
  a3: { page: 'A3 portrait', css: 'body{width:297mm;min-height:420mm;padding:20mm;font-size:6.6mm}h1{font-size:13mm}.qr svg{width:66mm}.qr{width:66mm}td,th{padding:2.4mm 3mm 2.4mm 0}' },
}

/** Fonts of the system alone: nothing is fetched to show it. */
const COMMON = `*{box-sizing:border-box}body{margin:0 auto;color:#1a1a1a;background:#fff;line-height:1.35;overflow-wrap:anywhere;
font-family:"PingFang SC","Microsoft YaHei","Noto Sans CJK SC","Source Han Sans SC",sans-serif;-webkit-print-color-adjust:exact;print-color-adjust:exact}
h1{margin:0 0 .35em;color:#b3191f;line-height:1.2}.sheet{display:flex;gap:1.2em;align-items:flex-start;justify-content:space-between}.who{flex:1}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;border-bottom:1px solid #d8d8d8;font-weight:400}
.role{color:#555;white-space:nowrap}.phone{white-space:nowrap;font-variant-numeric:tabular-nums}.rung th{color:#b3191f;font-weight:700;border-bottom-color:#b3191f}.vacant{color:#777}
a{color:inherit;text-decoration:none}.qr{text-align:center;flex:none}.qr svg{display:block;height:auto}.where,.foot{color:#555;margin:.2em 0}`

const sheets = Object.fromEntries(PAGE_SIZES.map((size) => {
  const css = `@page{size:${SHEETS[size].page};margin:0}${COMMON}${SHEETS[size].css}`
  const hash = createHash('sha256').update(css).digest('base64')
  return [size, { css, policy: `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'` }]
})) as Record<PageSize, { css: string; policy: string }>

/** Nothing but the one style sheet of the page may be used by it. */
export const pagePolicy = (size: PageSize): string => sheets[size].policy

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (words: string): string => words.replaceAll(/[&<>"']/g, (sign) => ESCAPES[sign]!)

/** What fits on a card: S4 prints three (支部书记、业委会主任、物业经理), beside those of the building. */
const ON_A_CARD = 5

/**
 * The page as it is printed. Who has agreed to nothing is there by his role.
 * @param scanned opened by its own QR code, in a browser and not in the app that files: there is nothing to scan again
 */
export function contactPage(board: Board, size: PageSize, scanned = false): string {
  const title = `${placeName(board)} ${size === 'card' ? '连心卡' : '责任公示牌'}`
  return `<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${sheets[size].css}</style></head>`
    + `<body><h1>${escaped(title)}</h1><div class="sheet"><div class="who">${size === 'card' ? cardTable(board) : boardTable(board)}</div>`
    + (scanned ? '</div><p class="foot">有事请联系上面的人；点单请用小程序扫这个二维码：第一个接到的人负责到底（首问责任制）。</p></body></html>'
      : `<div class="qr">${qrCode(board.filing.url)}<div>扫码点单</div></div></div><p class="foot">有事找上面的人，或扫码点单：第一个接到的人负责到底（首问责任制）。</p></body></html>`)
}

/** 银雀华府 3号楼 1单元: whoever reads it knows the street and the community. What the name below says already is left out. */
function placeName({ node, rungs }: Board): string {
  const names = rungs.slice(0, -2).map((rung) => rung.node.name)
  return names.length === 0 ? node.name : names.filter((name, index) => index === 0 || !names[index - 1]!.startsWith(name)).reverse().join(' ')
}

const line = ({ role, standIn, name, phone }: Contact, of?: string): string =>
  `<tr><td class="role">${of === undefined ? '' : `${escaped(of)} `}${escaped(role.name)}${standIn ? '（替班）' : ''}</td><td>${escaped(name ?? '')}</td><td class="phone">${phone === null ? '' : `<a href="tel:${escaped(phone)}">${escaped(phone)}</a>`}</td></tr>`

function boardTable({ rungs }: Board): string {
  return `<table>${rungs.map(({ node, levelName, contacts, answeredAt, vacant, organisations }) =>
    `<tr class="rung"><th colspan="3">${escaped(levelName)} ${escaped(node.name)}</th></tr>${contacts.map((contact) => line(contact)).join('')}`
    + (vacant ? `<tr><td class="vacant" colspan="3">${answeredAt ? `暂缺，由${escaped(answeredAt.name)}负责` : '暂缺'}</td></tr>` : '')
    + organisations.map(({ name, contacts: people }) => (people.length > 0 ? people.map((contact) => line(contact, name)).join('') : `<tr><td class="role" colspan="3">${escaped(name)}</td></tr>`)).join('')).join('')}</table>`
}

/** The nearest who can be called, those of organisations among them. */
function cardTable({ rungs }: Board): string {
  const all = rungs.flatMap(({ contacts, organisations }) => [...contacts, ...organisations.flatMap((organisation) => organisation.contacts)])
  const shown = all.filter(({ name, phone }) => name !== null || phone !== null)
  return `<table>${(shown.length > 0 ? shown : all).slice(0, ON_A_CARD).map((contact) => line(contact)).join('')}</table>`
}

/** ISO/IEC 18004, level M, with the quiet zone of four modules; a row's dark modules are one stroke each. */
export function qrCode(text: string): string {
  const { modules: { size, data } } = create(text, { errorCorrectionLevel: 'M' })
  const strokes: string[] = []
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = x
      while (x < size && data[y * size + x]) x++
      if (x > from) strokes.push(`M${from + 4} ${y + 4}h${x - from}v1h-${x - from}z`)
    }
  }
  const side = size + 8
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${side} ${side}" role="img" aria-label="二维码" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${side}v${side}H0z"/><path d="${strokes.join('')}"/></svg>`
}
