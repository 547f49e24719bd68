// SPDX-License-Identifier: LGPL-2.1-or-later
// Every module of GNOME Shell that the form for 45 imports: its address says which part of the stand-in it is.
const part = globalThis.standIn[/(\w+)\.js$/.exec(import.meta.url)[1]];

export default part;
export const {Button, Extension, PopupBaseMenuItem, panel} = part;
