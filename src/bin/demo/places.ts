import type { NewNode } from '../../service/tree.ts'

/** 银雀山街道 with its nineteen communities (GB codes), and in 梨杭村 the compound 银雀华府: eleven towers, twenty-two units (S0). */

export const STREET = '371302002'
export const STREET_NAME = '银雀山街道'
export const VILLAGE = '371302002207'
export const COMPOUND = 'YQHF'
/** Another community of the street. */
export const ELSEWHERE = '371302002001'

const COMMUNITIES: Readonly<Record<string, string>> = {
  371302002001: '新华社区居民委员会',
  371302002002: '南关社区居民委员会',
  371302002003: '五里堡社区居民委员会',
  371302002004: '东苗庄社区居民委员会',
  371302002005: '陆王庄社区居民委员会',
  371302002006: '三合屯社区居民委员会',
  371302002007: '西苗庄社区居民委员会',
  371302002008: '宏伟社区居民委员会',
  371302002021: '银东社区居民委员会',
  371302002022: '银城社区居民委员会',
  371302002023: '桃源社区居民委员会',
  371302002024: '银河湾社区居民委员会',
  371302002025: '鲁南社区居民委员会',
  371302002026: '开源社区居民委员会',
  371302002206: '后岗头村村民委员会',
  371302002207: '梨杭村村民委员会',
  371302002208: '七里沟村村民委员会',
  371302002209: '前岗头村村民委员会',
  371302002210: '全家红埠寺村村民委员会',
}

const BUILDINGS = 11
const UNITS_EACH = 2

const count = (n: number) => Array.from({ length: n }, (_, index) => index + 1)
const building = (n: number) => `${COMPOUND}-${String(n).padStart(2, '0')}`

/** WGS84, about where 银雀华府 is; its towers stand in rows of four, some 50 m apart. */
const GATE = { lng: 118.3354, lat: 35.0537 }
const point = (n: number, unit = 0) => ({ lng: Number((GATE.lng + ((n - 1) % 4) * 0.0006 + unit * 0.0001).toFixed(6)), lat: Number((GATE.lat + Math.ceil(n / 4) * 0.0005).toFixed(6)) })

/** Below the street; each after the one it lies in. */
export const PLACES: readonly NewNode[] = [
  ...Object.entries(COMMUNITIES).map(([code, name]) => ({ parent: STREET, code, name, level: 'community' })),
  { parent: VILLAGE, code: COMPOUND, name: '银雀华府', level: 'compound', point: GATE },
  ...count(BUILDINGS).flatMap((n) => [
    { parent: COMPOUND, code: building(n), name: `${n}号楼`, level: 'building', point: point(n) },
    ...count(UNITS_EACH).map((unit) => ({ parent: building(n), code: `${building(n)}-${unit}`, name: `${n}号楼${unit}单元`, level: 'unit', point: point(n, unit) })),
  ]),
]
