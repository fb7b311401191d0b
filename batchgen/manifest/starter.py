"""What `batchgen init` writes: a manifest and a configuration to begin with."""

from __future__ import annotations

MANIFEST = """\
# A job for batchgen. `batchgen validate FILE` finds mistakes, `batchgen plan FILE` shows what would be made and
# what it would cost, `batchgen run FILE` makes it. Running again continues where it stopped.
# For help while typing, run `batchgen schema > manifest.schema.json` and put this line first:
#   # yaml-language-server: $schema=manifest.schema.json
batchgen: 1
job: my-first-job                 # also the name of the output folder
provider: sandbox                 # paints for free; cometapi or openai make real images, and charge for them
model: gpt-image-2                # `batchgen models` says which model is for what

request:                          # for every image; `batchgen models gpt-image-2` lists what there is
  size: 1024x1024
  quality: low
  output_format: png

# prompt_template: "{prompt} Flat vector style, teal and orange."     # wraps every prompt

limits:
  budget_usd: 1.00                # the most this job may ever spend
  # images_per_minute: 20         # what the provider's account allows
  # finish_by: "06:30"            # in quotes; nothing is sent after it

prompts:
  - id: paper-boat                # also the name of the file: paper-boat--01.png
    prompt: A paper boat floating on calm water at sunrise.
    images: 2

  - id: mug
    prompt: A {color} mug on a {surface} table, studio light.
    vary:                         # every combination is an image
      color: [red, blue]
      surface: [wooden, marble]
    exclude: [{color: red, surface: marble}]
    request: {quality: medium}    # overrides the above
    tags: [shop]
"""

CONFIG = """\
# The operator's settings for batchgen, found from the working directory upwards. All of it is optional.
# Only its owner may be able to write this file (chmod go-w): it decides where keys are sent.
# Keys themselves stay in the environment: COMETAPI_KEY, OPENAI_API_KEY, or what key_env names.
providers:
  cometapi:
    images_per_minute: 60         # ceilings over all jobs of one process
    concurrency: 16
    deadline: 600s                # of one request; large images take minutes
  # gateway:                      # any provider that speaks OpenAI's images API
  #   base_url: https://images.example.com/v1
  #   key_env: GATEWAY_KEY
  #   models: {gpt-image-2: {images_per_minute: 20}}

# catalogue:                      # models that batchgen does not know, or your own prices
#   my-model: {family: gpt-image-2, price_usd: 0.04}

defaults: {concurrency: 8}        # for manifests that do not say
output: output                    # relative to this file
verify: structure                 # or decode: also decodes every image before it counts as stored
"""
