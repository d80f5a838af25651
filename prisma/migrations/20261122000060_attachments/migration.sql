-- Photos and papers (拍照上传, 材料). Non-breaking: a new table only.

CREATE TABLE "attachment" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "requestId" UUID,
    "seq" INTEGER,
    "ownerPersonId" UUID,
    "ownerClientId" UUID,
    "kind" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "bytes" INTEGER NOT NULL,
    "thumbBytes" INTEGER NOT NULL,
    "width" INTEGER,
    "height" INTEGER,
    "sha256" BYTEA NOT NULL,
    "key" TEXT,
    "thumbKey" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "attachedAt" TIMESTAMPTZ(3),
    "erasedAt" TIMESTAMPTZ(3),

    CONSTRAINT "attachment_pkey" PRIMARY KEY ("tenantId","id")
);

ALTER TABLE "attachment"
  ADD CONSTRAINT "attachment_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant",
  ADD CONSTRAINT "attachment_tenantId_ownerPersonId_fkey" FOREIGN KEY ("tenantId", "ownerPersonId") REFERENCES "person",
  ADD CONSTRAINT "attachment_tenantId_ownerClientId_fkey" FOREIGN KEY ("tenantId", "ownerClientId") REFERENCES "client",
  -- Everything said at an event hangs on that event, and what is shown with it too.
  ADD CONSTRAINT "attachment_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
  ADD CONSTRAINT "attachment_attached_check" CHECK (("requestId" IS NULL) = ("seq" IS NULL) AND ("requestId" IS NULL) = ("attachedAt" IS NULL)),
  ADD CONSTRAINT "attachment_owner_check" CHECK (("ownerPersonId" IS NULL) <> ("ownerClientId" IS NULL)),
  ADD CONSTRAINT "attachment_kind_check" CHECK ("kind" || ' ' || "type" IN ('photo image/webp', 'paper application/pdf')),
  ADD CONSTRAINT "attachment_photo_check" CHECK (("kind" = 'photo') = ("width" IS NOT NULL) AND ("kind" = 'photo') = ("height" IS NOT NULL) AND ("kind" = 'photo') = ("thumbBytes" > 0)),
  ADD CONSTRAINT "attachment_size_check" CHECK ("bytes" > 0 AND "thumbBytes" >= 0),
  -- Only what is erased has lost its files; a photo has two of them.
  ADD CONSTRAINT "attachment_key_check" CHECK (("key" IS NOT NULL OR "erasedAt" IS NOT NULL) AND ("thumbKey" IS NOT NULL) = ("key" IS NOT NULL AND "kind" = 'photo'));

CREATE INDEX "attachment_request_idx" ON "attachment" ("tenantId", "requestId", "seq") WHERE "requestId" IS NOT NULL;
-- What waits to be attached: by owner, and by age.
CREATE INDEX "attachment_loose_person_idx" ON "attachment" ("tenantId", "ownerPersonId") WHERE "requestId" IS NULL AND "erasedAt" IS NULL AND "ownerPersonId" IS NOT NULL;
CREATE INDEX "attachment_loose_client_idx" ON "attachment" ("tenantId", "ownerClientId") WHERE "requestId" IS NULL AND "erasedAt" IS NULL AND "ownerClientId" IS NOT NULL;
CREATE INDEX "attachment_loose_idx" ON "attachment" ("createdAt") WHERE "requestId" IS NULL AND "erasedAt" IS NULL;
-- Erased, and its files still there.
CREATE INDEX "attachment_erased_idx" ON "attachment" ("erasedAt") WHERE "erasedAt" IS NOT NULL AND "key" IS NOT NULL;

CALL wishwall_second_wall('attachment');

-- The app takes them in, attaches them and gives them up; the system clears away what nobody attached and what was erased.
GRANT SELECT, INSERT ON "attachment" TO wishwall_app;
GRANT UPDATE ("requestId", "seq", "attachedAt", "erasedAt") ON "attachment" TO wishwall_app;
GRANT SELECT, DELETE ON "attachment" TO wishwall_system;
GRANT UPDATE ("key", "thumbKey", "erasedAt") ON "attachment" TO wishwall_system;
