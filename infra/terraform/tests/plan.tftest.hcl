# terraform test: plans against a provider that is made up, without an account.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  region = "eu-central-1"
  bucket = "a-bucket"
  prefix = "night"

  worker_principals = ["arn:aws:iam::123456789012:role/gpu-machine"]
}

run "bucket_is_closed_and_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.store.block_public_acls,
      aws_s3_bucket_public_access_block.store.block_public_policy,
      aws_s3_bucket_public_access_block.store.ignore_public_acls,
      aws_s3_bucket_public_access_block.store.restrict_public_buckets,
    ])
    error_message = "The bucket can be made public."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.store.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "The bucket is not encrypted."
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_s3_bucket_policy.store.policy).Statement : s.Effect == "Deny"])
    error_message = "The bucket's policy allows something to everybody."
  }
  assert {
    condition     = length(module.cluster) == 0 && output.kubeconfig_command == null
    error_message = "There is a cluster that nobody asked for."
  }
  assert {
    condition     = output.store == "s3://a-bucket/night"
    error_message = "The store's address is ${output.store}."
  }
}

run "roles_keep_to_the_prefix" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role_policy.worker.policy).Statement[1].Resource == ["arn:aws:s3:::a-bucket/night/*"]
    error_message = "Workers reach objects outside the prefix."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.reviewer.policy).Statement[1].Action == ["s3:GetObject"]
    error_message = "Reviewers can do more than read."
  }
  assert {
    condition = (
      length(jsondecode(aws_iam_role_policy.reviewer.policy).Statement) == 3 &&
      jsondecode(aws_iam_role_policy.reviewer.policy).Statement[2].Action == ["s3:PutObject"] &&
      jsondecode(aws_iam_role_policy.reviewer.policy).Statement[2].Resource == [for table in ["ratings", "duels"] : "arn:aws:s3:::a-bucket/night/*/appended/${table}/*.json"]
    )
    error_message = "Reviewers write other objects than marks."
  }
  assert {
    condition     = length(aws_iam_role_policy.key) == 0
    error_message = "A right to a key that there is not."
  }
}

run "whole_bucket_and_key" {
  command = plan

  variables {
    prefix      = ""
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0123"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.worker.policy).Statement[1].Resource == ["arn:aws:s3:::a-bucket/*"]
    error_message = "An empty prefix is not the whole bucket."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.key["reviewer"].policy).Statement[0].Action == ["kms:Decrypt", "kms:GenerateDataKey"]
    error_message = "Reviewers cannot write marks with the key, or can do more with it."
  }
  assert {
    condition     = output.store == "s3://a-bucket"
    error_message = "The store's address is ${output.store}."
  }
}

run "pods_take_the_workers_role" {
  command = plan

  variables {
    subnet_ids        = ["subnet-1", "subnet-2"]
    worker_principals = []
  }

  assert {
    condition     = output.kubeconfig_command == "aws eks update-kubeconfig --region eu-central-1 --name dreamsweep"
    error_message = "There is no cluster."
  }
  assert {
    condition = [
      for s in jsondecode(aws_iam_role.worker.assume_role_policy).Statement : s.Principal
    ] == [{ Service = "pods.eks.amazonaws.com" }]
    error_message = "Others than the cluster's pods take the workers' role."
  }
  assert {
    condition = [
      for s in jsondecode(aws_iam_role.worker.assume_role_policy).Statement : s.Condition.StringEquals["aws:RequestTag/eks-cluster-name"]
    ] == ["dreamsweep"]
    error_message = "Pods of another cluster take the workers' role."
  }
  assert {
    condition = [
      for s in jsondecode(aws_iam_role.reviewer.assume_role_policy).Statement : s.Condition.StringEquals["aws:RequestTag/kubernetes-service-account"] if can(s.Condition)
    ] == ["dreamsweep-review"]
    error_message = "Others than the review page's pods take the reviewers' role."
  }
}

run "gpu_nodes_come_and_go" {
  command = apply

  module {
    source = "./cluster"
  }

  variables {
    name               = "dreamsweep"
    subnet_ids         = ["subnet-1", "subnet-2"]
    kubernetes_version = "1.35"
    api_cidrs          = []
    worker_role_arn    = "arn:aws:iam::123456789012:role/dreamsweep-worker"
    reviewer_role_arn  = "arn:aws:iam::123456789012:role/dreamsweep-reviewer"
    gpu = {
      instance_types = ["g6.2xlarge"]
      capacity       = "SPOT"
      max_nodes      = 4
      disk_gib       = 150
      hours          = { start = "45 1 * * *", end = "0 8 * * *", timezone = "Europe/Berlin" }
    }
  }

  override_resource {
    target = aws_eks_node_group.gpu
    values = { resources = [{ autoscaling_groups = [{ name = "a-group" }] }] }
  }
  override_resource {
    target = aws_launch_template.node
    values = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
  override_resource {
    target = aws_iam_role.node
    values = { arn = "arn:aws:iam::123456789012:role/dreamsweep-node" }
  }
  override_resource {
    target = aws_iam_role.cluster
    values = { arn = "arn:aws:iam::123456789012:role/dreamsweep-cluster" }
  }
  override_resource {
    target = aws_iam_role.disks
    values = { arn = "arn:aws:iam::123456789012:role/dreamsweep-disks" }
  }

  assert {
    condition     = one(aws_eks_node_group.gpu.taint).key == "nvidia.com/gpu" && one(aws_eks_node_group.gpu.taint).effect == "NO_SCHEDULE"
    error_message = "Anything may run on the GPU nodes."
  }
  assert {
    condition     = { for when, action in aws_autoscaling_schedule.gpu : when => action.desired_capacity } == { start = 4, end = 0 }
    error_message = "The GPU nodes do not come and go."
  }
  assert {
    condition     = !one(aws_eks_cluster.this.vpc_config).endpoint_public_access
    error_message = "The API is open to the world."
  }
  assert {
    condition = alltrue([
      for template in aws_launch_template.node :
      one(template.metadata_options).http_tokens == "required" && one(template.metadata_options).http_put_response_hop_limit == 1
    ])
    error_message = "Pods reach their node's credentials."
  }
}

run "machines_take_the_workers_role_by_name" {
  command = plan

  assert {
    condition = [
      for s in jsondecode(aws_iam_role.worker.assume_role_policy).Statement : s.Principal
    ] == [{ AWS = ["arn:aws:iam::123456789012:role/gpu-machine"] }]
    error_message = "Others than the machines that are named take the workers' role."
  }
}

run "without_a_cluster_the_machines_are_named" {
  command = plan

  variables {
    worker_principals = []
  }

  expect_failures = [aws_iam_role.worker]
}

run "mistakes_are_told" {
  command = plan

  variables {
    bucket     = "A Bucket"
    prefix     = "/night/"
    subnet_ids = ["subnet-1"]
    api_cidrs  = ["0.0.0.0/0"]
    gpu        = { capacity = "CHEAP", max_nodes = 0 }

    worker_principals = ["arn:aws:iam::123456789012:root"]
  }

  expect_failures = [var.bucket, var.prefix, var.subnet_ids, var.api_cidrs, var.gpu, var.worker_principals]
}
