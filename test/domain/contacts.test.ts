import { describe, expect, test } from 'vitest'
import { cardText, filingLink, filingLinkSchema, isFor, nearestTo, plainAddress } from '../../src/domain/contacts.ts'

const NODES = [
  ['S', '银雀街道', 'S/'], ['P', '银雀华府', 'S/P/'], ['Q', '银雀新居', 'S/Q/'],
  ...['P', 'Q'].flatMap((compound) => ['3', '13'].flatMap((building) => [
    [`${compound}-${building}`, `${building}号楼`, `S/${compound}/${compound}-${building}/`],
    ...['1', '2'].map((unit) => [`${compound}-${building}-${unit}`, `${unit}单元`, `S/${compound}/${compound}-${building}/${compound}-${building}-${unit}/`]),
  ])),
].map(([code, name, path]) => ({ code: code!, name: name!, path: path! }))
const find = (address: string) => nearestTo(NODES, plainAddress(address))

describe('an address', () => {
  test.each([
    ['银雀华府3号楼1单元502', 'S/P/P-3/P-3-1/'],
    ['银雀华府13号楼1单元', 'S/P/P-13/P-13-1/'],
    ['银雀新居 ３ 号楼 ２ 单元', 'S/Q/Q-3/Q-3-2/'],
    ['银雀华府3-1-502', 'S/P/P-3/P-3-1/'],
    ['银雀华府3栋', 'S/P/P-3/'],
    ['银雀华府99号楼', 'S/P/'],
    ['P-13-2-502', 'S/P/P-13/P-13-2/'],
    ['P-13', 'S/P/P-13/'],
  ])('%s is the nearest place that it names', (address, path) => {
    expect(find(address)).toBe(path)
  })

  test('that fits several places means what lies above them all', () => {
    expect(find('3号楼')).toBe('S/')
    expect(find('银雀华府1单元')).toBe('S/P/')
  })

  test('that names nothing known is nowhere', () => {
    expect(find('别处的路')).toBeUndefined()
    expect(find('X-1')).toBeUndefined()
  })
})

test('what is for the public is for residents too, and not the other way', () => {
  expect([isFor('public', 'public'), isFor('public', 'residents'), isFor('residents', 'residents'), isFor('residents', 'public')]).toEqual([true, true, true, false])
})

describe('the link of a QR code', () => {
  test('carries the place and the card', () => {
    expect(filingLink('https://h5.example.cn/f?n={node}&c={card}', 'A.1', 'A.1~head~xY_-')).toBe('https://h5.example.cn/f?n=A.1&c=A.1~head~xY_-')
    expect(filingLink('https://h5.example.cn/f?n={node}&c={card}', 'A', null)).toBe('https://h5.example.cn/f?n=A&c=')
  })

  test('is a web address with the place in it', () => {
    for (const good of ['https://h5.example.cn/f?n={node}&c={card}', 'https://h5.example.cn/{node}', 'weixin://dl/business/?t=x&node={node}']) expect(filingLinkSchema.safeParse(good).success, good).toBe(true)
    for (const bad of ['https://h5.example.cn/f', '{node}', 'javascript:alert({node})', 'data:text/html,{node}']) expect(filingLinkSchema.safeParse(bad).success, bad).toBe(false)
  })

  test('has cards of one shape', () => {
    for (const good of ['YQHF-02~building_head~AbC_-123']) expect(cardText.safeParse(good).success).toBe(true)
    for (const bad of ['a~b', 'a~b~c~d', 'a b~c~d', '~~', 'a~b~\0']) expect(cardText.safeParse(bad).success, bad).toBe(false)
  })
})
