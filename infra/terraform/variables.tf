variable "name" {
  description = "Begins the names of roles and of the cluster."
  type        = string
  default     = "dreamsweep"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name: 2 to 31 small letters, digits and hyphens, a letter first."
  }
}

variable "region" {
  description = "Region of the bucket and the cluster, such as eu-central-1."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket that is made; bucket names are unique in the whole world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket: 3 to 63 small letters, digits, dots and hyphens, a letter or digit at both ends."
  }
}

variable "prefix" {
  description = "The store's prefix in the bucket, as in s3://bucket/prefix; the roles reach no object outside it. Empty: the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", var.prefix))
    error_message = "prefix: parts of letters, digits, dots, underscores and hyphens, with one slash between them and none at the ends."
  }
}

variable "kms_key_arn" {
  description = "ARN of a KMS key to encrypt with. Null: S3's own keys (AES-256)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn: the ARN of a key (arn:aws:kms:region:account:key/id), not an alias."
  }
}

variable "versioning" {
  description = <<-EOT
    Keep what is overwritten or deleted, for noncurrent_days. Off: a running shard overwrites its checkpoint every 15 seconds, and each
    of these, up to hundreds of megabytes, would be kept; tables and pictures are not overwritten in place.
  EOT
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be had back, with versioning."
  type        = number
  default     = 1

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days: a whole number of days, at least 1."
  }
}

variable "tiering_after_days" {
  description = "Days after which S3 Intelligent-Tiering takes over objects of 128 KiB and more: cheaper where nobody looks, at once there when somebody does. Null: never."
  type        = number
  default     = 30
  nullable    = true

  validation {
    condition     = var.tiering_after_days == null || try(var.tiering_after_days >= 0, false)
    error_message = "tiering_after_days: 0 or more days, or null."
  }
}

variable "worker_principals" {
  description = "ARNs of roles or users that may take the workers' role from outside the cluster, such as the instance role of a GPU machine. Needed where there is no cluster."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.worker_principals : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "worker_principals: ARNs of roles or users (arn:aws:iam::123456789012:role/NAME); a whole account is none."
  }
}

variable "reviewer_principals" {
  description = "ARNs of roles or users that may take the reviewers' role. Empty: whoever in this account is given sts:AssumeRole on it."
  type        = list(string)
  default     = []
}

variable "subnet_ids" {
  description = "Private subnets, in two availability zones at least, with a way out (NAT): an EKS cluster with a GPU pool is made in them. Empty: the bucket and the roles only."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.subnet_ids) != 1
    error_message = "subnet_ids: two subnets at least, in different availability zones, or none for no cluster."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version of the cluster."
  type        = string
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "kubernetes_version: such as 1.35."
  }
}

variable "api_cidrs" {
  description = "Networks that may reach the cluster's API from outside the VPC, such as the office's. Empty: none."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "api_cidrs: networks such as 198.51.100.0/24, and not the whole world."
  }
}

variable "gpu" {
  description = <<-EOT
    The GPU pool: instance types to choose from, SPOT or ON_DEMAND, how many nodes at most, disk of each, and the hours (cron) at which
    the nodes come and go. Without hours something else has to scale it, such as the Cluster Autoscaler.
  EOT
  type = object({
    instance_types = optional(list(string), ["g6.2xlarge", "g5.2xlarge"])
    capacity       = optional(string, "SPOT")
    max_nodes      = optional(number, 4)
    disk_gib       = optional(number, 150)
    hours = optional(object({
      start    = string
      end      = string
      timezone = optional(string, "Etc/UTC")
    }))
  })
  default = {}

  validation {
    condition     = contains(["SPOT", "ON_DEMAND"], var.gpu.capacity)
    error_message = "gpu.capacity: SPOT or ON_DEMAND."
  }

  validation {
    condition     = var.gpu.max_nodes >= 1 && var.gpu.disk_gib >= 50
    error_message = "gpu: one node at least (max_nodes), with 50 GiB of disk at least (disk_gib)."
  }
}
