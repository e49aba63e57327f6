module "cluster" {
  source = "./cluster"
  count  = local.with_cluster ? 1 : 0

  name               = var.name
  subnet_ids         = var.subnet_ids
  kubernetes_version = var.kubernetes_version
  api_cidrs          = var.api_cidrs
  gpu                = var.gpu
  worker_role_arn    = aws_iam_role.worker.arn
  reviewer_role_arn  = aws_iam_role.reviewer.arn
}
