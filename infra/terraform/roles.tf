data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}

locals {
  account      = "arn:${data.aws_partition.here.partition}:iam::${data.aws_caller_identity.here.account_id}:root"
  bucket_arn   = "arn:${data.aws_partition.here.partition}:s3:::${var.bucket}"
  objects_arn  = var.prefix == "" ? "${local.bucket_arn}/*" : "${local.bucket_arn}/${var.prefix}/*"
  appended_arn = var.prefix == "" ? "${local.bucket_arn}/*/appended" : "${local.bucket_arn}/${var.prefix}/*/appended"
  list_prefix  = var.prefix == "" ? "*" : "${var.prefix}/*"
  with_cluster = length(var.subnet_ids) > 0

  # Of this very cluster's pods, the namespace and the service accounts of infra/kubernetes.
  pods_may_assume = { for role, account in { worker = "dreamsweep-flow-run", reviewer = "dreamsweep-review" } : role => {
    Effect    = "Allow"
    Principal = { Service = "pods.eks.amazonaws.com" }
    Action    = ["sts:AssumeRole", "sts:TagSession"]
    Condition = {
      StringEquals = {
        "aws:RequestTag/eks-cluster-name"           = var.name
        "aws:RequestTag/kubernetes-namespace"       = "dreamsweep"
        "aws:RequestTag/kubernetes-service-account" = account
      }
    }
  } }
  machines_may_assume = {
    Effect    = "Allow"
    Principal = { AWS = var.worker_principals }
    Action    = ["sts:AssumeRole"]
  }
}

# Workers: read, write and remove what is under the prefix, and nothing else.
resource "aws_iam_role" "worker" {
  name                 = "${var.name}-worker"
  max_session_duration = 43200

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.with_cluster ? [local.pods_may_assume.worker] : [],
      length(var.worker_principals) > 0 ? [local.machines_may_assume] : [],
    )
  })

  lifecycle {
    precondition {
      condition     = local.with_cluster || length(var.worker_principals) > 0
      error_message = "worker_principals: without a cluster, name the roles or users that may take the workers' role, such as a machine's instance role."
    }
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "store"
  role   = aws_iam_role.worker.id
  policy = templatefile("${path.module}/policies/worker.json", { bucket = local.bucket_arn, objects = local.objects_arn, prefix = local.list_prefix })
}

# Reviewers, and the review page in the cluster: look, and leave marks, each an object of its own; nothing else.
resource "aws_iam_role" "reviewer" {
  name                 = "${var.name}-reviewer"
  max_session_duration = 43200

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.with_cluster ? [local.pods_may_assume.reviewer] : [],
      [{
        Effect    = "Allow"
        Principal = { AWS = length(var.reviewer_principals) > 0 ? var.reviewer_principals : [local.account] }
        Action    = ["sts:AssumeRole"]
      }],
    )
  })
}

resource "aws_iam_role_policy" "reviewer" {
  name   = "store"
  role   = aws_iam_role.reviewer.id
  policy = templatefile("${path.module}/policies/reviewer.json", { bucket = local.bucket_arn, objects = local.objects_arn, appended = local.appended_arn, prefix = local.list_prefix })
}

resource "aws_iam_role_policy" "key" {
  for_each = var.kms_key_arn == null ? {} : {
    worker   = { role = aws_iam_role.worker.id, actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
    reviewer = { role = aws_iam_role.reviewer.id, actions = ["kms:Decrypt", "kms:GenerateDataKey"] }
  }

  name = "key"
  role = each.value.role

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = each.value.actions, Resource = [var.kms_key_arn] }]
  })
}
