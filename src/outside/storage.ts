import { once } from 'node:events'
import { ReadStream } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { Disk } from 'flydrive'
import { FSDriver } from 'flydrive/drivers/fs'
import type { DriverContract } from 'flydrive/types'
import { Problem } from '../domain/problems.ts'

/** Where files are kept: by random keys, never by names, and reachable through this alone. */
export interface Storage {
  /** Durable when it returns. @throws Problem overloaded */
  put(key: string, bytes: Buffer, type: string): Promise<void>
  /** @throws Error when there is no such file, Problem overloaded when the storage does not answer */
  open(key: string): Promise<Readable>
  /** Nothing to do when it is gone already. */
  remove(key: string): Promise<void>
}

export interface StorageOptions {
  /** Made when the first file comes; shared by all processes. */
  folder: string
  /** Used in place of the folder. The bucket is private: nothing here makes a file public. */
  s3?: S3Options | undefined
}

export interface S3Options {
  bucket: string
  /** Of MinIO, OSS, COS…; AWS when left out. */
  endpoint?: string | undefined
  region: string
  /** When left out, the SDK looks for them in its own places. */
  accessKeyId?: string | undefined
  secretAccessKey?: string | undefined
  /** `https://endpoint/bucket/key` (MinIO) instead of `https://bucket.endpoint/key` (AWS, OSS, COS). */
  pathStyle: boolean
}

/** @throws Error in one line when the SDK for S3 is not installed */
export async function openStorage({ folder, s3 }: StorageOptions): Promise<Storage> {
  const driver = s3 ? await s3Driver(s3) : new FSDriver({ location: folder, visibility: 'private' })
  const disk = new Disk(driver)
  return {
    put: async (key, bytes, type) => {
      try {
        if (!s3) await mkdir(folder, { recursive: true, mode: 0o700 })
        await disk.put(key, bytes, { contentType: type })
        if (!s3) await settle(folder, key)
      } catch (cause) {
        throw new Problem('overloaded', { cause })
      }
    },
    open: async (key) => {
      try {
        const stream = await disk.getStream(key)
        // A file is opened later than its stream is made: what is not there must be known before an answer begins.
        if (stream instanceof ReadStream) await once(stream, 'open')
        return stream
      } catch (cause) {
        throw isMissing(cause) ? cause : new Problem('overloaded', { cause })
      }
    },
    remove: (key) => disk.delete(key),
  }
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && (('code' in error && error.code === 'ENOENT') || error.name === 'NoSuchKey' || isMissing(error.cause))

/** On the disk, not only in the kernel: an upload that was acknowledged survives a power cut, as its row does. */
async function settle(folder: string, key: string): Promise<void> {
  const file = await open(join(folder, key))
  await file.sync().finally(() => file.close())
  if (process.platform === 'win32') return // has no such thing for folders
  for (const each of [dirname(join(folder, key)), folder]) {
    const entries = await open(each)
    await entries.sync().finally(() => entries.close())
  }
}

const TIMEOUTS = { connectionTimeout: 3_000, requestTimeout: 15_000 }

async function s3Driver({ bucket, endpoint, region, accessKeyId, secretAccessKey, pathStyle }: S3Options): Promise<DriverContract> {
  const { S3Driver } = await import('flydrive/drivers/s3').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new Error('S3 storage needs two packages that are not installed: npm install @aws-sdk/client-s3@3 @aws-sdk/s3-request-presigner@3', { cause })
  })
  return new S3Driver({
    bucket, region, visibility: 'private', forcePathStyle: pathStyle, maxAttempts: 2, requestHandler: TIMEOUTS,
    // Many S3-compatible services know neither ACLs nor the checksums that AWS added in 2025.
    supportsACL: false, requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED',
    ...(endpoint !== undefined && { endpoint }),
    ...(accessKeyId !== undefined && secretAccessKey !== undefined && { credentials: { accessKeyId, secretAccessKey } }),
  })
}
