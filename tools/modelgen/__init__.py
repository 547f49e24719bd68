# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random-weight models of any family, shape and type; tools/generate-model is the door."""
