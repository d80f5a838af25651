-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "tenant" (
    "id" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "settings" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "node" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "parentId" UUID,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "level" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "retiredAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "node_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "role" (
    "tenantId" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "capabilities" TEXT[],

    CONSTRAINT "role_pkey" PRIMARY KEY ("tenantId","code")
);

-- CreateTable
CREATE TABLE "organisation" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,

    CONSTRAINT "organisation_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "subject" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "key" BYTEA,
    "kid" TEXT,
    "sealed" BYTEA,
    "phone" BYTEA,
    "erasedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "subject_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "person" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "subjectId" UUID NOT NULL,
    "login" TEXT,
    "passwordHash" TEXT,
    "suspendedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "person_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "duty" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "roleCode" TEXT NOT NULL,
    "nodeId" UUID NOT NULL,
    "organisationId" UUID,
    "standInId" UUID,
    "from" TIMESTAMPTZ(3) NOT NULL,
    "to" TIMESTAMPTZ(3),

    CONSTRAINT "duty_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "affiliation" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "organisationId" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "verifiedAt" TIMESTAMPTZ(3),
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "affiliation_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "client" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "clientId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "secretHash" BYTEA,
    "scopes" TEXT[],
    "revokedAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "client_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "policy" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "nodeId" UUID NOT NULL,
    "body" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "policy_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "item" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "name" TEXT NOT NULL,
    "category" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "mode" TEXT NOT NULL,
    "wall" BOOLEAN NOT NULL,
    "policyCode" TEXT NOT NULL,
    "retiredAt" TIMESTAMPTZ(3),
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "item_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "request" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "number" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "itemId" UUID NOT NULL,
    "policyId" UUID NOT NULL,
    "state" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "cycle" INTEGER NOT NULL,
    "nodeId" UUID NOT NULL,
    "responsibleNodeId" UUID NOT NULL,
    "path" TEXT NOT NULL,
    "filerId" UUID,
    "filerClientId" UUID,
    "beneficiaryId" UUID,
    "source" TEXT NOT NULL,
    "targetGroup" TEXT,
    "confidential" BOOLEAN NOT NULL,
    "externalRef" TEXT,
    "slots" INTEGER NOT NULL,
    "slotsTaken" INTEGER NOT NULL,
    "supervisorPath" TEXT,
    "unreached" INTEGER NOT NULL,
    "result" TEXT,
    "solved" TEXT,
    "satisfaction" TEXT,
    "titleSeq" INTEGER NOT NULL,
    "collectedAt" TIMESTAMPTZ(3),
    "filedAt" TIMESTAMPTZ(3) NOT NULL,
    "acceptedAt" TIMESTAMPTZ(3),
    "placedAt" TIMESTAMPTZ(3),
    "dispatchedAt" TIMESTAMPTZ(3),
    "startedAt" TIMESTAMPTZ(3),
    "respondedAt" TIMESTAMPTZ(3),
    "completedAt" TIMESTAMPTZ(3),
    "ratedAt" TIMESTAMPTZ(3),
    "closedAt" TIMESTAMPTZ(3),

    CONSTRAINT "request_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "event" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "verb" TEXT NOT NULL,
    "fromState" TEXT NOT NULL,
    "toState" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "cycle" INTEGER NOT NULL,
    "path" TEXT NOT NULL,
    "actorKind" TEXT NOT NULL,
    "actorId" UUID,
    "clientId" UUID,
    "dutyId" UUID,
    "onBehalfOf" UUID,
    "data" JSONB NOT NULL,

    CONSTRAINT "event_pkey" PRIMARY KEY ("tenantId","requestId","seq")
);

-- CreateTable
CREATE TABLE "assignment" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "via" TEXT NOT NULL,
    "slot" INTEGER NOT NULL,
    "personId" UUID,
    "organisationId" UUID,
    "path" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "until" TIMESTAMPTZ(3),

    CONSTRAINT "assignment_pkey" PRIMARY KEY ("tenantId","requestId","seq")
);

-- CreateTable
CREATE TABLE "deadline" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "step" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "policyId" UUID NOT NULL,
    "openedAt" TIMESTAMPTZ(3) NOT NULL,
    "dueAt" TIMESTAMPTZ(3) NOT NULL,
    "originalDueAt" TIMESTAMPTZ(3) NOT NULL,
    "provisional" BOOLEAN NOT NULL,
    "nextAt" TIMESTAMPTZ(3),
    "mark" INTEGER NOT NULL,
    "rungPath" TEXT,
    "stoodAt" TIMESTAMPTZ(3),
    "closedAt" TIMESTAMPTZ(3),

    CONSTRAINT "deadline_pkey" PRIMARY KEY ("tenantId","requestId","step","seq")
);

-- CreateTable
CREATE TABLE "text" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "field" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "erasedAt" TIMESTAMPTZ(3),

    CONSTRAINT "text_pkey" PRIMARY KEY ("tenantId","requestId","field","seq")
);

-- CreateTable
CREATE TABLE "wall_entry" (
    "tenantId" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "title" TEXT NOT NULL,
    "text" TEXT,
    "scopePath" TEXT NOT NULL,
    "takenDownAt" TIMESTAMPTZ(3),

    CONSTRAINT "wall_entry_pkey" PRIMARY KEY ("tenantId","requestId","seq")
);

-- CreateTable
CREATE TABLE "counter" (
    "tenantId" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "value" INTEGER NOT NULL,

    CONSTRAINT "counter_pkey" PRIMARY KEY ("tenantId","key")
);

-- CreateTable
CREATE TABLE "number_block" (
    "tenantId" UUID NOT NULL,
    "day" TEXT NOT NULL,
    "next" INTEGER NOT NULL,

    CONSTRAINT "number_block_pkey" PRIMARY KEY ("tenantId","day")
);

-- CreateTable
CREATE TABLE "idempotency" (
    "tenantId" UUID NOT NULL,
    "caller" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "requestId" UUID NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "status" INTEGER NOT NULL,
    "answer" BYTEA NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_pkey" PRIMARY KEY ("tenantId","caller","key")
);

-- CreateTable
CREATE TABLE "outbox" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "path" TEXT NOT NULL,
    "payload" JSONB NOT NULL,

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("tenantId","id")
);

-- CreateTable
CREATE TABLE "feed" (
    "tenantId" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "id" UUID NOT NULL,
    "requestId" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "path" TEXT NOT NULL,
    "payload" JSONB NOT NULL,

    CONSTRAINT "feed_pkey" PRIMARY KEY ("tenantId","position")
);

-- CreateTable
CREATE TABLE "notification" (
    "tenantId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "readAt" TIMESTAMPTZ(3),

    CONSTRAINT "notification_pkey" PRIMARY KEY ("tenantId","personId","position")
);

-- CreateTable
CREATE TABLE "cursor" (
    "name" TEXT NOT NULL,
    "position" BIGINT NOT NULL,

    CONSTRAINT "cursor_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "worker" (
    "id" UUID NOT NULL,
    "startedAt" TIMESTAMPTZ(3) NOT NULL,
    "seenAt" TIMESTAMPTZ(3) NOT NULL,
    "roundTripAt" TIMESTAMPTZ(3),

    CONSTRAINT "worker_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "tenant_code_key" ON "tenant"("code");

-- CreateIndex
CREATE INDEX "node_tenantId_parentId_idx" ON "node"("tenantId", "parentId");

-- CreateIndex
CREATE UNIQUE INDEX "node_tenantId_code_key" ON "node"("tenantId", "code");

-- CreateIndex
CREATE UNIQUE INDEX "node_tenantId_path_key" ON "node"("tenantId", "path");

-- CreateIndex
CREATE INDEX "organisation_tenantId_nodeId_idx" ON "organisation"("tenantId", "nodeId");

-- CreateIndex
CREATE UNIQUE INDEX "organisation_tenantId_code_key" ON "organisation"("tenantId", "code");

-- CreateIndex
CREATE INDEX "subject_tenantId_phone_idx" ON "subject"("tenantId", "phone");

-- CreateIndex
CREATE UNIQUE INDEX "person_tenantId_login_key" ON "person"("tenantId", "login");

-- CreateIndex
CREATE INDEX "duty_tenantId_personId_idx" ON "duty"("tenantId", "personId");

-- CreateIndex
CREATE INDEX "duty_tenantId_nodeId_idx" ON "duty"("tenantId", "nodeId");

-- CreateIndex
CREATE INDEX "duty_tenantId_organisationId_idx" ON "duty"("tenantId", "organisationId");

-- CreateIndex
CREATE INDEX "affiliation_tenantId_personId_idx" ON "affiliation"("tenantId", "personId");

-- CreateIndex
CREATE UNIQUE INDEX "client_tenantId_clientId_key" ON "client"("tenantId", "clientId");

-- CreateIndex
CREATE UNIQUE INDEX "policy_tenantId_code_nodeId_version_key" ON "policy"("tenantId", "code", "nodeId", "version");

-- CreateIndex
CREATE UNIQUE INDEX "item_tenantId_code_version_key" ON "item"("tenantId", "code", "version");

-- CreateIndex
CREATE INDEX "request_tenantId_state_id_idx" ON "request"("tenantId", "state", "id");

-- CreateIndex
CREATE INDEX "request_tenantId_responsibleNodeId_state_id_idx" ON "request"("tenantId", "responsibleNodeId", "state", "id");

-- CreateIndex
CREATE INDEX "request_tenantId_filerId_id_idx" ON "request"("tenantId", "filerId", "id");

-- CreateIndex
CREATE UNIQUE INDEX "request_tenantId_number_key" ON "request"("tenantId", "number");

-- CreateIndex
CREATE UNIQUE INDEX "request_tenantId_filerClientId_externalRef_key" ON "request"("tenantId", "filerClientId", "externalRef");

-- CreateIndex
CREATE UNIQUE INDEX "event_tenantId_requestId_seq_toState_key" ON "event"("tenantId", "requestId", "seq", "toState");

-- CreateIndex
CREATE INDEX "idempotency_at_idx" ON "idempotency"("at");

-- AddForeignKey
ALTER TABLE "node" ADD CONSTRAINT "node_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "node" ADD CONSTRAINT "node_tenantId_parentId_fkey" FOREIGN KEY ("tenantId", "parentId") REFERENCES "node"("tenantId", "id") ON DELETE RESTRICT ON UPDATE RESTRICT;

