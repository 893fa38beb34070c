import {_t} from "@web/core/l10n/translation";

/** The server, or what lies before it, takes no request of this size. */
export class TooLarge extends Error {}

/** The server did not answer, or is busy: the same piece may arrive a little later. */
export class Unreachable extends Error {}

function received(request) {
    if (request.status === 413) {
        throw new TooLarge(
            _t("A proxy in front of the server refuses even small parts.")
        );
    }
    if (request.status >= 500 || request.status === 429) {
        throw new Unreachable(
            _t("The server cannot accept the file at the moment (%s).", request.status)
        );
    }
    let answer = null;
    try {
        answer = JSON.parse(request.responseText);
    } catch {
        throw new Error(
            _t("The upload has expired.\nClose this window and start again.")
        );
    }
    if (answer.error) {
        throw new Error(`${answer.error}\n${answer.hint}`);
    }
    return answer.received;
}

/**
 * Send one piece of a file; return how many bytes of the file are there then.
 *
 * @param {string} url
 * @param {number} offset of the piece in the file
 * @param {Blob} piece
 * @param {AbortSignal} signal
 * @param {(sent: number) => void} onProgress
 */
export function sendPiece(url, offset, piece, signal, onProgress) {
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest(); // fetch does not tell how much was sent
        const abort = () => request.abort();
        signal.addEventListener("abort", abort, {once: true});
        request.open("POST", `${url}?offset=${offset}`);
        request.setRequestHeader("Content-Type", "application/octet-stream");
        request.upload.onprogress = (event) => onProgress(event.loaded);
        request.onabort = () => reject(signal.reason);
        request.onerror = () =>
            reject(new Unreachable(_t("The server cannot be reached.")));
        request.onload = () => {
            try {
                resolve(received(request));
            } catch (error) {
                reject(error);
            }
        };
        request.onloadend = () => signal.removeEventListener("abort", abort);
        request.send(piece);
    });
}
