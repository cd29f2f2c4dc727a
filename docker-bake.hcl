# The two images for amd64 and arm64 at once, for where buildx and a registry are at hand:
#   VERSION=$(cat VERSION) REVISION=$(git rev-parse HEAD) docker buildx bake --push      (REGISTRY=host:port/team: elsewhere than to DockerHub)
# script/images builds the same Dockerfiles for this machine alone.

variable "REGISTRY" { default = "svcreg" }
variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "unknown" }

group "default" { targets = ["php-fpm", "nginx"] }

target "image" {
  context   = "."
  platforms = ["linux/amd64", "linux/arm64"]
  labels = {
    "org.opencontainers.image.version"  = VERSION
    "org.opencontainers.image.revision" = REVISION
  }
}

target "base" {
  inherits   = ["image"]
  dockerfile = "docker-images/base/Dockerfile"
}

target "go-builder" {
  inherits   = ["image"]
  dockerfile = "docker-images/base/go-builder.Dockerfile"
  contexts   = { "svcreg/base" = "target:base" }
}

target "php-fpm" {
  inherits   = ["image"]
  dockerfile = "docker-images/web/Dockerfile"
  contexts   = { "svcreg/base" = "target:base" }
  tags       = ["${REGISTRY}/php-fpm:${VERSION}", "${REGISTRY}/php-fpm:latest"]
}

target "nginx" {
  inherits   = ["image"]
  dockerfile = "docker-images/nginx/Dockerfile"
  contexts   = { "svcreg/base" = "target:base", "svcreg/go-builder" = "target:go-builder" }
  tags       = ["${REGISTRY}/nginx:${VERSION}", "${REGISTRY}/nginx:latest"]
}
