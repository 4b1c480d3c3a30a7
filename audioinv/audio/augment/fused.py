"""Augmented log spectra without augmented waveforms: the fused route, for training.

The waveform route makes a clip sound otherwise and then looks at its spectrum: for pitch and speed
that is a vocoder's Fourier transforms, there and back, before the front end's own. But what a frame
of the result will hold is known beforehand: the sound around the place in the clip that its time
stands for, at another pitch. So frames are cut where a stretch and a shift have them, out of a clip
resampled to its new pitch; phases are never needed. Everything after that (fade, mask, noises) is
affine in the clip, y = gain x + added, and so in every frame. One Fourier transform a frame.

How it differs from the waveform route, in bins within 30 dB of a clip's loudest (bounds, edge
frames included, are tests): fade, mask and noises not at all; a pitch shift or stretch of notes by
0.1 dB on average; of noise by one to two, since a vocoder takes about a decibel from noise and this
takes nothing. Frames at the ends of a clip, mirrored there, differ by half a decibel more.

How bank and front end hand over: `FusedBank.apply` gives maps, as the front end would make them of
waveforms, and a front end hands maps through. The core never looks at what a view is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from audioinv.audio.augment import frames as loops
from audioinv.audio.augment import kernels
from audioinv.audio.augment.coloured_noise import ColouredNoise
from audioinv.audio.augment.fade import Fade
from audioinv.audio.augment.pitch_shift import PitchShift, ratio_of
from audioinv.audio.augment.resample import resample
from audioinv.audio.augment.time_mask import TimeMask
from audioinv.audio.augment.time_shift import TimeShift
from audioinv.audio.augment.time_stretch import TimeStretch
from audioinv.audio.augment.vocoder import in_chunks
from audioinv.audio.augment.white_noise import WhiteNoise
from audioinv.base.errors import UserError
from audioinv.core.augmentation import Augmentation
from audioinv.core.bank import AugmentationBank, apply_to_rows

MOVING = (PitchShift, TimeStretch, TimeShift)  # move sound along time and frequency, in this order
AFFINE = (Fade, TimeMask, WhiteNoise, ColouredNoise)  # after them; gain x + added


class FusedBank(AugmentationBank):
    """The bank whose views of waveforms (B, T) are the front end's maps (B, 1, bins, frames).

    It draws the parameters that the bank it is made of would draw. Without gradients.

    Args:
        bank: of the seven augmentations of sounds, any of them, in their order.
        frontend: a `Frontend` with spectra.

    Raises:
        UserError: the bank has other augmentations or another order, or the front end wants a
            waveform or makes more than log spectra of it.
    """

    def __init__(self, bank: AugmentationBank, frontend: Any) -> None:
        augmentations = list(bank.augmentations.values())
        _check_order(augmentations, bank.order)
        _check_frontend(frontend)
        super().__init__(
            augmentations,
            bank.space,
            bank.inactive,
            bank.probability,
            bank.probabilities,
            bank.acting,
        )
        self.frontend = frontend
        self.affine = [a for a in augmentations if isinstance(a, AFFINE)]

    @torch.no_grad()
    def apply(self, x: Tensor, params: dict[str, Tensor], order: Tensor | None = None) -> Tensor:
        """Maps (B, 1, bins, frames) of waveforms `x` (B, T), augmented by `params`.

        Raises:
            UserError: parameters that want a gradient.
        """
        if any(own.requires_grad for own in params.values()):
            raise UserError("frontend.views=fused has no gradients; give frontend.views=waveform")
        # on the CPU, where all that is decided by parameters is decided without waiting for a GPU
        rows = torch.cat([params[name].cpu() for name in self.augmentations], 1)
        stretch, semitones = self._of(rows, TimeStretch, 1.0), self._of(rows, PitchShift, 0.0)
        speed = stretch.double() / ratio_of(semitones)
        decibels = in_chunks(self._decibels, x, speed, rows, least=16)
        return self.frontend.normalised(decibels)

    def _decibels(self, x: Tensor, speed: Tensor, rows: Tensor) -> Tensor:
        """Log spectra (b, bins, frames) of few clips `x` (b, T); `speed` as in `_cut`.

        Parameters are on the CPU, as they are in all that follows.
        """
        shift = (self._of(rows, TimeShift, 0.0).double() * x.shape[-1]).round().long()
        frames = self._cut(x, self._of(rows, PitchShift, 0.0), speed, shift)
        if self.affine:
            gain, added = self._gain_and_added(frames, rows, x.shape[-1])
            frames = self._change(frames, gain, added)
        return self.frontend.decibels_of_frames(frames)

    def _cut(self, x: Tensor, semitones: Tensor, speed: Tensor, shift: Tensor) -> Tensor:
        """Frames (b, frames, n_fft) of what pitch shift, stretch and shift make of `x` (b, T).

        Args:
            speed: (b,), samples of the clip at its new pitch that pass in one of the result.
            shift: (b,), samples.
        """
        n_fft = self.frontend.config["n_fft"]
        source = _at_pitch(x, semitones, speed, n_fft)
        times, shift = self._times(x.shape[-1]), (shift % x.shape[-1])[:, None]
        early, late = _places(times, speed[:, None], shift, x.shape[-1])
        if kernels.applies(source, speed):
            return loops.cut(source, times, shift[:, 0], early, late)
        source = F.pad(source, (n_fft, n_fft))

        # Nearly every frame is n_fft samples of the source in a row.
        ahead = times.amax(1) < shift
        first = (times[:, 0] + torch.where(ahead, early, late) + n_fft).clamp(
            0,
            source.shape[-1] - n_fft,  # both ends are silent
        )
        clip = torch.arange(len(x))[:, None] * source.shape[-1]
        frames = source.flatten().unfold(0, n_fft, 1)[(clip + first).to(x.device)]

        # Not those mirrored at an end of the clip, or where a shifted one begins anew.
        mirrored = times[:, -1] - times[:, 0] != n_fft - 1
        row, frame = (mirrored | (times.amin(1) < shift) & ~ahead).nonzero(as_tuple=True)
        clip, shift, early, late, row, frame = (
            t.to(x.device) for t in (clip, shift, early, late, row, frame)
        )
        time = self._times(x.shape[-1], x.device)[frame]
        place = torch.where(
            time < shift[row], time + early[row, frame, None], time + late[row, frame, None]
        )
        place = (place + n_fft).clamp(0, source.shape[-1] - 1)
        frames[row, frame] = source.flatten()[clip[row] + place]
        return frames

    def _change(self, frames: Tensor, gain: Tensor, added: Tensor) -> Tensor:
        """`frames` (b, frames, n_fft) of a clip, multiplied and added to as the clip is, (b, T)."""
        if kernels.applies(frames, gain, added):
            return loops.change(frames, self._times(gain.shape[-1]), gain, added)
        framed = self.frontend.frames
        return torch.addcmul(framed(added), frames, framed(gain))

    def _times(self, length: int, device: torch.device | None = None) -> Tensor:
        """The samples (frames, n_fft) that frames of a clip see, mirrored at its ends."""
        clock = torch.arange(length, device=device, dtype=torch.float64)
        return self.frontend.frames(clock[None])[0].long()

    def _gain_and_added(self, frames: Tensor, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """(b, T) both: what fade, mask and noises multiply the clips of `frames` by, and add.

        The level that the noises go by is that of the frames' middles, side by side.
        """
        hop, n_fft = self.frontend.config["hop"], self.frontend.config["n_fft"]
        middle = slice(n_fft // 2 - hop // 2, n_fft // 2 - hop // 2 + hop)
        clip = frames[..., middle].flatten(1)[:, hop // 2 :][:, :length]
        clip = F.pad(clip, (0, length - clip.shape[-1]))
        gain, y = torch.ones_like(clip), clip
        for augmentation in self.affine:
            own = self._rows_of(rows, augmentation)
            acting = augmentation.acts(own).nonzero().flatten()
            if not len(acting):
                continue
            if isinstance(augmentation, Fade | TimeMask):
                gain = gain * augmentation.factor(own.to(clip.device), length)
            if isinstance(augmentation, Fade):
                y = clip * gain
            else:
                y = apply_to_rows(augmentation, y, own, acting)
        return gain, torch.addcmul(y, gain, clip, value=-1)

    def _of(self, rows: Tensor, kind: type[Augmentation], identity: float) -> Tensor:
        """The parameter (b,) of the augmentation `kind`; `identity` where the bank has none."""
        for augmentation in self.augmentations.values():
            if isinstance(augmentation, kind):
                return self._rows_of(rows, augmentation)[:, 0]
        return rows.new_full((len(rows),), identity)

    def _rows_of(self, rows: Tensor, augmentation: Augmentation) -> Tensor:
        """The columns (b, P) of one augmentation in `rows`, those of all side by side."""
        first = 0
        for other in self.augmentations.values():
            if other is augmentation:
                break
            first += len(other.parameters)
        return rows[:, first : first + len(augmentation.parameters)]


def _at_pitch(x: Tensor, semitones: Tensor, speed: Tensor, n_fft: int) -> Tensor:
    """`x` (b, T) resampled to its new pitch, as much of it as is played; silence after its end."""
    length, ratio = x.shape[-1], ratio_of(semitones)
    played = length * float(speed.max()) + n_fft
    size = max(length, math.ceil(min(played, length / float(ratio.min()))))
    moved = semitones.ne(0).nonzero().flatten()
    if len(moved) == len(x):
        return resample(x, ratio, size)
    source = F.pad(x, (0, size - length))
    if not len(moved):
        return source
    place = moved.to(x.device)
    return source.index_copy(0, place, resample(x[place], ratio[moved], size))


def _places(times: Tensor, speed: Tensor, shift: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """From the `times` (frames, n) of frames to where in the source it is that they hear.

    The middle of a frame stands where speed and shift have it, and around it the source runs as it
    is. What lies beyond the point at which a shifted clip begins anew is counted from there.

    Args:
        speed, shift: (b, 1), the shift from 0 to `length`.

    Returns:
        (b, frames) each: what to add to the times before `shift`, and to those from it on.
    """
    middle = times[:, times.shape[1] // 2]
    begun = middle < shift  # the clip's end, before the shifted clip's beginning
    within = middle - shift + length * begun
    offset = (within * speed).round().long() - within
    end = (length * speed).round().long() - length
    early = torch.where(begun, offset, end) + length
    late = torch.where(begun, 0, offset)
    return early - shift, late - shift


def _check_frontend(frontend: Any) -> None:
    if frontend.config["normalise"] != "none":
        raise UserError(
            "frontend.views=fused makes no waveforms that frontend.normalise="
            f"{frontend.config['normalise']} could normalise; give frontend.views=waveform"
        )
    if frontend.output_size[0] != 1:
        raise UserError(
            f"frontend.views=fused makes log spectra, one channel; {frontend.name} has "
            f"{frontend.output_size[0]}: give frontend.views=waveform"
        )


def _check_order(augmentations: Sequence[Augmentation], rule: str) -> None:
    if rule != "bank":
        raise UserError(
            f"frontend.views=fused keeps to one order and bank.order is {rule}; "
            "give frontend.views=waveform or bank.order=bank"
        )
    order = [*MOVING, *AFFINE]
    kinds = [type(augmentation) for augmentation in augmentations]
    if kinds != [kind for kind in order if kind in kinds]:
        names = [kind.__name__ for kind in kinds]
        raise UserError(
            f"frontend.views=fused knows {[k.__name__ for k in order]} in this order and no "
            f"others, the bank has {names}; give frontend.views=waveform"
        )
