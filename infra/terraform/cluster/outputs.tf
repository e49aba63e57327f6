output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}
