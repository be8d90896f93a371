"""DicomEdit 6, the language of XNAT's anonymisation scripts, as far as its scripts can be run without surprises.

`parse_script` reads a script or says, with its line, what it can't do; `apply_script` runs it on a dataset. A script
that was read has no statement that is passed over: what is not understood is refused when it is stored, not skipped
when a patient's exam arrives.

Source of grammar and meaning: DicomEdit 6's own grammar and interpreter (NrgXnat, Simplified BSD) and its language
reference. Where we differ from it, `overread.dicom.dicomedit.parser` refuses.
"""

from overread.dicom.dicomedit.parser import SUPPORTED_VERSIONS, parse_script
from overread.dicom.dicomedit.run import apply_script
from overread.dicom.dicomedit.script import Script, ScriptError

__all__ = ["SUPPORTED_VERSIONS", "Script", "ScriptError", "apply_script", "parse_script"]
