import { expect, it } from 'vitest'
import { maskDoor, maskName, maskPhone } from '../../src/domain/masks.ts'

it.each([['王小明', '王**'], ['王明', '王**'], ['欧阳娜娜', '欧**'], ['𠮷野', '𠮷**'], [' 李四 ', '李**'], ['', '**']])('name %s → %s', (name, masked) => {
  expect(maskName(name)).toBe(masked)
})

it.each([['13800138000', '138****8000'], ['05391234567', '053****4567'], ['123456', '****'], ['', '****']])('phone %s → %s', (phone, masked) => {
  expect(maskPhone(phone)).toBe(masked)
})

it('leaves nothing of a door', () => {
  expect(maskDoor('3栋2单元501')).toBe('***')
})
