"""Errors of the Hub: five kinds, with messages for users. Makes no request and imports no client."""

from __future__ import annotations

import errno
from typing import Literal

Kind = Literal["offline", "not found", "forbidden", "busy", "damaged"]
PASS_A_FOLDER = "download the repository yourself and pass its folder"


class HubError(Exception):
    """A repository could not be read or written; the message says what happened and what to do next."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


def explain(error: BaseException, repo_id: str, revision: str | None) -> HubError:
    """The HubError for an error of the client, from the first known error in its chain of causes."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, HubError):
            return link
        kind_and_text = _explain_link(link, repo_id, revision)
        if kind_and_text:
            return HubError(*kind_and_text)
        link = link.__cause__
    what = f"The answer about {repo_id} could not be understood ({type(error).__name__})"
    step = f"check that HF_ENDPOINT points to a Hub and that the network needs no login, or {PASS_A_FOLDER}"
    return HubError("damaged", f"{what}: {step}.")


def _explain_link(error: BaseException, repo_id: str, revision: str | None) -> tuple[Kind, str] | None:
    # By name, because the HTTP library under the client differs with its version, and its errors are not OSErrors.
    names = {cls.__name__ for cls in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", 0)
    code = getattr(error, "errno", None)
    if names & {"LocalEntryNotFoundError", "RevisionResolutionError"}:
        return None  # wrappers: the reason is in their cause
    if "OfflineModeIsEnabled" in names:
        return "offline", f"Offline, so {repo_id} cannot be fetched: unset HF_HUB_OFFLINE, or {PASS_A_FOLDER}."
    if names & {"GatedRepoError", "DisabledRepoError"}:
        return "forbidden", f"The owner of {repo_id} restricts access: ask the owner for it, then {PASS_A_FOLDER}."
    if "RevisionNotFoundError" in names:
        return "not found", f"{repo_id} has no revision {revision or 'main'}: check the name, or leave it out."
    if "RepositoryNotFoundError" in names and not _is_login_request(error):
        text = f"The Hub has no public model repository {repo_id}: check the spelling of owner/name"
        return "not found", f"{text}; if it is private, {PASS_A_FOLDER}."
    if status in (401, 403, 407, 451):
        return "forbidden", f"The Hub refuses access to {repo_id} ({status}) without a login: {PASS_A_FOLDER}."
    if status in (408, 425, 429) or status >= 500:
        return "busy", f"The Hub is busy or down ({status}): try again in a few minutes, or {PASS_A_FOLDER}."
    if "EntryNotFoundError" in names or status in (404, 410):
        return "not found", f"A file that {repo_id} lists is missing: try again later, or {PASS_A_FOLDER}."
    if "TooManyRedirects" in names:
        return "damaged", f"The Hub's address redirects in a loop: check HF_ENDPOINT, or {PASS_A_FOLDER}."
    if names & {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"}:
        return "offline", "HF_ENDPOINT is not a web address: correct it, or unset it to ask huggingface.co."
    if "TimeoutException" in names and "ConnectTimeout" not in names:
        return "busy", f"The Hub stopped answering about {repo_id}: try again later, or {PASS_A_FOLDER}."
    if "TransportError" in names:
        step = f"check the connection, the proxy and HF_ENDPOINT, or {PASS_A_FOLDER}"
        return "offline", f"The Hub cannot be reached, or the connection broke: {step}."
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "busy", f"The disk is too full for {repo_id}: free some space, or set HF_HOME to another disk."
    if code is not None:
        return "forbidden", "The cache for downloads cannot be written: set HF_HOME to a folder that can be written."
    if isinstance(error, OSError) and "FileMetadataError" not in names:
        return "damaged", f"A file of {repo_id} arrived with a wrong size: try again later, or {PASS_A_FOLDER}."
    return None


def _is_login_request(error: BaseException) -> bool:
    """The client reports every 401 as a missing repository, but without an error code it only asks for a login."""
    response = getattr(error, "response", None)
    return response is not None and response.status_code == 401 and "X-Error-Code" not in response.headers
