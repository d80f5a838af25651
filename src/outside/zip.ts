import { crc32, inflateRawSync } from 'node:zlib'

/** A zip archive that claims less than it holds, overlaps itself or is cut off; the message is for the log. */
export class BadZip extends Error {
  override readonly name = 'BadZip'
  readonly reason: 'damaged' | 'too-big' | 'locked'
  constructor(reason: BadZip['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}

const END = 0x06054b50
const END_SIZE = 22
const LONGEST_COMMENT = 0xffff
const CENTRAL = 0x02014b50
const CENTRAL_SIZE = 46
const LOCAL = 0x04034b50
const LOCAL_SIZE = 30
const [STORED, DEFLATED] = [0, 8]
const ENCRYPTED = 1
/** Beyond this the fields say "see the 64-bit record", which no file of a size we take needs. */
const BEYOND = 0xffffffff
const MOST_ENTRIES = 1_000

/**
 * Unpacks the entries that are wanted, and never more than `limit` bytes of all together: what an entry claims to hold
 * is not believed, inflating stops there (APPNOTE.TXT 6.3.10).
 * @returns name → bytes; directories are left out
 * @throws BadZip
 */
export function unzip(archive: Buffer, { limit, wanted }: { limit: number; wanted: (name: string) => boolean }): Map<string, Buffer> {
  const entries = new Map<string, Buffer>()
  let left = limit
  for (const { name, at, packed, method } of directoryOf(archive)) {
    if (name.endsWith('/') || !wanted(name)) continue
    if (entries.has(name)) throw new BadZip('damaged', 'an entry is there twice')
    const bytes = unpack(contentAt(archive, at, packed), method, left)
    left -= bytes.length
    entries.set(name, bytes)
  }
  return entries
}

interface Entry {
  name: string
  at: number
  packed: number
  method: number
}

/** Names of all that the archive holds, wanted or not. @throws BadZip */
export const namesIn = (archive: Buffer): string[] => directoryOf(archive).map(({ name }) => name)

function directoryOf(archive: Buffer): Entry[] {
  const end = endOf(archive)
  const count = archive.readUInt16LE(end + 10)
  if (count > MOST_ENTRIES) throw new BadZip('too-big', `${count} entries`)
  const entries: Entry[] = []
  let at = archive.readUInt32LE(end + 16)
  for (let index = 0; index < count; index++) {
    if (at + CENTRAL_SIZE > end || archive.readUInt32LE(at) !== CENTRAL) throw new BadZip('damaged', 'the directory is cut off')
    const [flags, method, packed] = [archive.readUInt16LE(at + 8), archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 20)]
    const [nameLength, extra, comment] = [archive.readUInt16LE(at + 28), archive.readUInt16LE(at + 30), archive.readUInt16LE(at + 32)]
    if (flags & ENCRYPTED) throw new BadZip('locked', 'an entry is encrypted')
    if (packed === BEYOND) throw new BadZip('too-big', 'a 64-bit archive')
    entries.push({ name: archive.toString('utf8', at + CENTRAL_SIZE, at + CENTRAL_SIZE + nameLength), at: archive.readUInt32LE(at + 42), packed, method })
    at += CENTRAL_SIZE + nameLength + extra + comment
  }
  return entries
}

function endOf(archive: Buffer): number {
  for (let at = archive.length - END_SIZE; at >= 0 && at >= archive.length - END_SIZE - LONGEST_COMMENT; at--) {
    if (archive.readUInt32LE(at) === END) return at
  }
  throw new BadZip('damaged', 'no end of the directory')
}

function contentAt(archive: Buffer, at: number, packed: number): Buffer {
  if (at + LOCAL_SIZE > archive.length || archive.readUInt32LE(at) !== LOCAL) throw new BadZip('damaged', 'an entry is not where it should be')
  const start = at + LOCAL_SIZE + archive.readUInt16LE(at + 26) + archive.readUInt16LE(at + 28)
  if (start + packed > archive.length) throw new BadZip('damaged', 'an entry is cut off')
  return archive.subarray(start, start + packed)
}

function unpack(content: Buffer, method: number, limit: number): Buffer {
  if (method === STORED && content.length <= limit) return content
  if (method === STORED) throw new BadZip('too-big', 'more than the limit')
  if (method !== DEFLATED) throw new BadZip('damaged', `packed by method ${method}`)
  try {
    return inflateRawSync(content, { maxOutputLength: Math.max(1, limit) })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw code === 'ERR_BUFFER_TOO_LARGE' ? new BadZip('too-big', 'more than the limit') : new BadZip('damaged', `cannot be inflated (${code})`)
  }
}

/** An archive of these entries in this order, not packed. */
export function zip(entries: ReadonlyMap<string, Buffer>): Buffer {
  const [files, directory]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const [name, bytes] of entries) {
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0) // version needed
    common.writeUInt16LE(0x800, 2) // names are UTF-8
    common.writeUInt32LE(crc32(bytes), 10)
    common.writeUInt32LE(bytes.length, 14)
    common.writeUInt32LE(bytes.length, 18)
    common.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([signature(LOCAL), common, Buffer.from(name)])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    directory.push(signature(CENTRAL), Buffer.from([20, 0]), common, tail, Buffer.from(name))
    files.push(local, bytes)
    offset += local.length + bytes.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(END_SIZE - 4)
  end.writeUInt16LE(entries.size, 4)
  end.writeUInt16LE(entries.size, 6)
  end.writeUInt32LE(central.length, 8)
  end.writeUInt32LE(offset, 12)
  return Buffer.concat([...files, central, signature(END), end])
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
