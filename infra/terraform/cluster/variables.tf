variable "name" {
  description = "Name of the cluster; begins the names of its roles."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in two availability zones at least."
  type        = list(string)
}

variable "kubernetes_version" {
  description = "Kubernetes version."
  type        = string
}

variable "api_cidrs" {
  description = "Networks that may reach the API from outside the VPC."
  type        = list(string)
}

variable "gpu" {
  description = "The GPU pool; see the variable of that name above."
  type = object({
    instance_types = list(string)
    capacity       = string
    max_nodes      = number
    disk_gib       = number
    hours          = optional(object({ start = string, end = string, timezone = string }))
  })
}

variable "worker_role_arn" {
  description = "The role that flow runs take for the bucket."
  type        = string
}

variable "reviewer_role_arn" {
  description = "The role that the review page takes for the bucket."
  type        = string
}
