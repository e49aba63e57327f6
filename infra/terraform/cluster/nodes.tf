data "aws_partition" "here" {}

locals {
  managed = "arn:${data.aws_partition.here.partition}:iam::aws:policy"
  trusts = {
    for service, actions in {
      "eks.amazonaws.com"      = ["sts:AssumeRole"]
      "ec2.amazonaws.com"      = ["sts:AssumeRole"]
      "pods.eks.amazonaws.com" = ["sts:AssumeRole", "sts:TagSession"]
    } :
    service => {
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Principal = { Service = service }, Action = actions }]
    }
  }
}

resource "aws_iam_role" "node" {
  name               = "${var.name}-node"
  assume_role_policy = jsonencode(local.trusts["ec2.amazonaws.com"])
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each   = toset(["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"])
  role       = aws_iam_role.node.name
  policy_arn = "${local.managed}/${each.value}"
}

# Bottlerocket keeps images and pods' scratch on its second disk. One hop: a pod does not reach its node's credentials.
resource "aws_launch_template" "node" {
  for_each = { system = 50, gpu = var.gpu.disk_gib }
  name     = "${var.name}-${each.key}"

  block_device_mappings {
    device_name = "/dev/xvdb"

    ebs {
      volume_type           = "gp3"
      volume_size           = each.value
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}

resource "aws_eks_node_group" "system" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "system"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = var.subnet_ids
  ami_type        = "BOTTLEROCKET_x86_64"
  instance_types  = ["m7i.xlarge"]

  launch_template {
    id      = aws_launch_template.node["system"].id
    version = aws_launch_template.node["system"].latest_version
  }

  scaling_config {
    min_size     = 2
    desired_size = 2
    max_size     = 3
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network, aws_eks_addon.first]
}

# NVIDIA's driver, container toolkit and device plugin are part of this image.
resource "aws_eks_node_group" "gpu" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "gpu"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = var.subnet_ids
  ami_type        = "BOTTLEROCKET_x86_64_NVIDIA"
  instance_types  = var.gpu.instance_types
  capacity_type   = var.gpu.capacity
  labels          = { "dreamsweep/pool" = "gpu" }

  taint {
    key    = "nvidia.com/gpu"
    value  = "present"
    effect = "NO_SCHEDULE"
  }

  launch_template {
    id      = aws_launch_template.node["gpu"].id
    version = aws_launch_template.node["gpu"].latest_version
  }

  scaling_config {
    min_size     = 0
    desired_size = 0
    max_size     = var.gpu.max_nodes
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network, aws_eks_addon.first]
}

# All of the pool in the evening, none of it in the morning. A shard that still runs then is told so and keeps a checkpoint.
resource "aws_autoscaling_schedule" "gpu" {
  for_each = var.gpu.hours == null ? {} : {
    start = { at = var.gpu.hours.start, nodes = var.gpu.max_nodes }
    end   = { at = var.gpu.hours.end, nodes = 0 }
  }

  scheduled_action_name  = "${var.name}-gpu-${each.key}"
  autoscaling_group_name = aws_eks_node_group.gpu.resources[0].autoscaling_groups[0].name
  recurrence             = each.value.at
  time_zone              = var.gpu.hours.timezone
  min_size               = 0
  max_size               = var.gpu.max_nodes
  desired_capacity       = each.value.nodes
}
