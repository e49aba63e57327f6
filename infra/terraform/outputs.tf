output "store" {
  description = "The store, as --store takes it."
  value       = join("/", compact(["s3://${aws_s3_bucket.store.bucket}", var.prefix]))
}

output "worker_role_arn" {
  description = "The role of workers and shards."
  value       = aws_iam_role.worker.arn
}

output "reviewer_role_arn" {
  description = "The role of those who only look."
  value       = aws_iam_role.reviewer.arn
}

output "kubeconfig_command" {
  description = "Lets kubectl speak to the cluster; null without one."
  value       = local.with_cluster ? "aws eks update-kubeconfig --region ${var.region} --name ${module.cluster[0].name}" : null
}
